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

/** An HTTP API that sends all of its requests to the function. */
export const HTTP_API = {
  AWSTemplateFormatVersion: "2010-09-09",
  Parameters: { Arn: { Type: "String" } },
  Resources: {
    Api: { Type: "AWS::ApiGatewayV2::Api", Properties: { Name: "shop", ProtocolType: "HTTP" } },
    Integration: {
      Type: "AWS::ApiGatewayV2::Integration",
      Properties: {
        ApiId: { Ref: "Api" },
        IntegrationType: "AWS_PROXY",
        IntegrationUri: { Ref: "Arn" },
        PayloadFormatVersion: "2.0",
      },
    },
    Route: {
      Type: "AWS::ApiGatewayV2::Route",
      Properties: {
        ApiId: { Ref: "Api" },
        RouteKey: "$default",
        Target: { "Fn::Join": ["/", ["integrations", { Ref: "Integration" }]] },
      },
    },
    Stage: {
      Type: "AWS::ApiGatewayV2::Stage",
      Properties: { ApiId: { Ref: "Api" }, StageName: "$default", AutoDeploy: true },
    },
    Permission: {
      Type: "AWS::Lambda::Permission",
      Properties: {
        FunctionName: { Ref: "Arn" },
        Action: "lambda:InvokeFunction",
        Principal: "apigateway.amazonaws.com",
        SourceArn: {
          "Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*",
        },
      },
    },
  },
  Outputs: { Url: { Value: { "Fn::GetAtt": ["Api", "ApiEndpoint"] } }, Id: { Value: { Ref: "Api" } } },
};

/** A bucket that tells the function of each new object. */
export const NOTIFICATIONS = {
  AWSTemplateFormatVersion: "2010-09-09",
  Parameters: { Arn: { Type: "String" } },
  Resources: {
    Permission: {
      Type: "AWS::Lambda::Permission",
      Properties: {
        FunctionName: { Ref: "Arn" },
        Action: "lambda:InvokeFunction",
        Principal: "s3.amazonaws.com",
        SourceAccount: { Ref: "AWS::AccountId" },
      },
    },
    Uploads: {
      Type: "AWS::S3::Bucket",
      // S3 asks at once whether it may invoke the function.
      DependsOn: "Permission",
      Properties: {
        NotificationConfiguration: {
          LambdaConfigurations: [{ Event: "s3:ObjectCreated:*", Function: { Ref: "Arn" } }],
        },
      },
    },
  },
  Outputs: { Bucket: { Value: { Ref: "Uploads" } } },
};
