import { Component } from "./component.ts";
import { Output, type Input } from "./output.ts";

/** A CloudFormation template as an object. Outputs of other components may stand anywhere in it. */
export type Template<Name extends string = string> = {
  AWSTemplateFormatVersion?: "2010-09-09";
  Description?: string;
  Transform?: string | string[];
  Parameters?: Record<string, unknown>;
  Mappings?: Record<string, unknown>;
  Conditions?: Record<string, unknown>;
  Rules?: Record<string, unknown>;
  Metadata?: Record<string, unknown>;
  Resources: Record<string, { Type: string; Properties?: object; [more: string]: unknown }>;
  Outputs?: Record<Name, { Value: unknown; [more: string]: unknown }>;
};

export type StackArgs<Name extends string = string> = {
  /** A file, JSON or YAML, relative to the config; or the template itself. */
  template: string | Template<Name>;
  /** `{ HandlerArn: api.arn }`. A list is joined by commas. */
  parameters?: Input<Record<string, Input<string> | Input<number> | Input<Input<string>[]>>>;
  /** What CloudFormation must be allowed expressly. @default ["CAPABILITY_IAM"] */
  capabilities?: Input<("CAPABILITY_IAM" | "CAPABILITY_NAMED_IAM" | "CAPABILITY_AUTO_EXPAND")[]>;
  /** In AWS, on each resource, beside livedev's own. */
  tags?: Input<Record<string, Input<string>>>;
};

/**
 * Any other AWS resource, as a CloudFormation template. It is deployed after the functions whose ARNs it takes, so
 * that it can route events to them. Linked code reads `Resource.<name>.outputs.<Output>`.
 *
 * @example
 * const worker = new aws.Function("Worker", { handler: "src/worker.handler" });
 * const infra = new aws.Stack<"QueueUrl">("Infra", {
 *   template: "infra/queue.yml",
 *   parameters: { WorkerArn: worker.arn },
 * });
 * new aws.Function("MyApi", { handler: "src/api.handler", environment: { QUEUE: infra.outputs.QueueUrl } });
 */
export class Stack<Name extends string = string> extends Component {
  /** What the template's `Outputs` give, by their names. Known once the app stands. */
  readonly outputs: Readonly<Record<Name, Output<string>>>;
  /** The stack's ARN. Known once the app stands. */
  readonly id: Output<string>;

  constructor(name: string, args: StackArgs<Name>, options?: unknown) {
    super("aws.Stack", name, args, options);
    this.id = Output.later(`${name}.id`);
    // The template may be a file, whose outputs nobody has read yet: any name is taken.
    this.outputs = new Proxy({} as Record<Name, Output<string>>, {
      get: (_, output) =>
        typeof output === "symbol" || output === "then" || output === "toJSON"
          ? undefined
          : Output.later(`${name}.outputs.${output}`),
    });
  }
}
