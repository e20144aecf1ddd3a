/** A stack of what invokes a function: a schedule and a queue. Made after the function, and with its ARN. */
export const TRIGGERS = {
  AWSTemplateFormatVersion: "2010-09-09",
  Parameters: { Arn: { Type: "String" }, Rate: { Type: "String", Default: "rate(5 minutes)" } },
  Resources: {
    Queue: { Type: "AWS::SQS::Queue" },
    Mapping: {
      Type: "AWS::Lambda::EventSourceMapping",
      Properties: { FunctionName: { Ref: "Arn" }, EventSourceArn: { "Fn::GetAtt": ["Queue", "Arn"] } },
    },
    Rule: {
      Type: "AWS::Events::Rule",
      Properties: {
        ScheduleExpression: { Ref: "Rate" },
        State: "ENABLED",
        Targets: [{ Arn: { Ref: "Arn" }, Id: "function" }],
      },
    },
    Permission: {
      Type: "AWS::Lambda::Permission",
      Properties: {
        FunctionName: { Ref: "Arn" },
        Action: "lambda:InvokeFunction",
        Principal: "events.amazonaws.com",
        SourceArn: { "Fn::GetAtt": ["Rule", "Arn"] },
      },
    },
  },
  Outputs: { QueueUrl: { Value: { Ref: "Queue" } } },
};
