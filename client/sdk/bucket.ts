import type { Duration } from "./args.ts";
import { Component } from "./component.ts";
import { Output, type Input } from "./output.ts";

export type BucketCors = {
  /** @default ["*"] */
  allowHeaders?: Input<Input<string>[]>;
  /** @default ["*"] */
  allowOrigins?: Input<Input<string>[]>;
  /** @default ["DELETE", "GET", "HEAD", "POST", "PUT"] */
  allowMethods?: Input<Input<"DELETE" | "GET" | "HEAD" | "POST" | "PUT">[]>;
  /** @default [] */
  exposeHeaders?: Input<Input<string>[]>;
  /** At most "1 day". @default "0 seconds" */
  maxAge?: Input<Duration>;
};

export type BucketLifecycle = {
  /** A name for the rule. */
  id?: Input<string>;
  /** @default true */
  enabled?: Input<boolean>;
  /** Only objects whose key begins so. */
  prefix?: Input<string>;
  /** Days after the object was made: "30 days". */
  expiresIn?: Input<`${number} ${"day" | "days"}`>;
  /** A day on which all are deleted: "2026-12-31". */
  expiresAt?: Input<string>;
};

export type BucketPolicy = {
  /** @default "allow" */
  effect?: Input<"allow" | "deny">;
  actions: Input<Input<string>[]>;
  /** Whom it is about: everybody, or these. */
  principals: Input<
    | "*"
    | Input<{
        type: Input<"aws" | "service" | "federated" | "canonical">;
        identifiers: Input<Input<string>[]>;
      }>[]
  >;
  conditions?: Input<
    Input<{ test: Input<string>; variable: Input<string>; values: Input<Input<string>[]> }>[]
  >;
  /** Of the objects; "" is the bucket itself. @default ["", "*"] */
  paths?: Input<Input<string>[]>;
};

export type BucketArgs = {
  /** Who may read the objects beside the account: `"public"` everybody, `"cloudfront"` CloudFront. @default nobody */
  access?: Input<"public" | "cloudfront">;
  /** @deprecated SST's older word for `access: "public"`. */
  public?: Input<boolean>;
  /** What browsers of other origins may do. @default true: everything but changing the bucket */
  cors?: Input<boolean | BucketCors>;
  /** Keeps what is overwritten or deleted. @default false */
  versioning?: Input<boolean>;
  /** Refuses requests without TLS. @default true */
  enforceHttps?: Input<boolean>;
  /** When objects are deleted by themselves. */
  lifecycle?: Input<Input<BucketLifecycle>[]>;
  /** Further statements of the bucket's policy. */
  policy?: Input<Input<BucketPolicy>[]>;
  transform?: unknown;
};

/**
 * An S3 bucket. Linked code reads `Resource.<name>.name`.
 *
 * @example
 * const bucket = new aws.Bucket("Uploads");
 * new aws.Function("MyApi", { handler: "src/api.handler", link: [bucket] });
 */
export class Bucket extends Component {
  /** Its name in AWS. Known once the app stands. */
  readonly name: Output<string>;
  /** Known once the app stands. */
  readonly arn: Output<string>;
  /** `<name>.s3.amazonaws.com`. Known once the app stands. */
  readonly domain: Output<string>;

  constructor(name: string, args?: BucketArgs, options?: unknown) {
    super("aws.Bucket", name, args, options);
    this.name = Output.later(`${name}.name`);
    this.arn = Output.later(`${name}.arn`);
    this.domain = Output.later(`${name}.domain`);
  }

  /** A bucket that stands already: it can be linked, and is neither changed nor removed. */
  static get(name: string, bucketName: Input<string>, options?: unknown): Bucket {
    return new Bucket(name, { existing: bucketName } as BucketArgs, options);
  }

  /** @deprecated Not carried out: write the notification into an aws.Stack, with `function.arn` as its parameter. */
  get notify(): never {
    throw new Error(
      "Bucket.notify is not carried out. Write the notification into an aws.Stack and give it the function's arn as a parameter",
    );
  }
}
