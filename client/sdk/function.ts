import { physicalName } from "../../proto/app.ts";
import type { Duration, Environment, Links, Permission, Size, VpcPlacement } from "./args.ts";
import { Component } from "./component.ts";
import { appIn, inConfig } from "./context.ts";
import { Output, type Input } from "./output.ts";
import type { Vpc } from "./vpc.ts";

export type Runtime = "nodejs18.x" | "nodejs20.x" | "nodejs22.x" | "nodejs24.x";

export type UrlCors = {
  /** @default false */
  allowCredentials?: Input<boolean>;
  /** @default ["*"] */
  allowHeaders?: Input<string[]>;
  /** @default ["*"] */
  allowMethods?: Input<("*" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT")[]>;
  /** @default ["*"] */
  allowOrigins?: Input<string[]>;
  /** @default [] */
  exposeHeaders?: Input<string[]>;
  /** At most "1 day". @default "0 seconds" */
  maxAge?: Input<Duration>;
};

export type FunctionUrl = {
  /** `iam`: requests are signed by somebody who may invoke it. @default "none" */
  authorization?: Input<"none" | "iam">;
  /** @default true */
  cors?: Input<boolean | UrlCors>;
  [later: string]: unknown;
};

/** How long CloudWatch keeps the logs. */
export type Retention =
  | `${1 | 3 | 5} ${"day" | "days"}`
  | `${1 | 2} ${"week" | "weeks"}`
  | `${1 | 2 | 3 | 4 | 5 | 6 | 13 | 18} ${"month" | "months"}`
  | `${1 | 2 | 3 | 5 | 6 | 7 | 8 | 9 | 10} ${"year" | "years"}`
  | "forever";

export type FunctionLogging = {
  /** @default "1 month" */
  retention?: Input<Retention>;
  /** @default "text" */
  format?: Input<"text" | "json">;
  /** An existing log group, by its name; `retention` is then its owner's. @default one of its own */
  logGroup?: Input<string>;
};

export type FunctionCopy = {
  /** A file or a folder, relative to the config. */
  from: Input<string>;
  /** Relative to the package. @default what `from` is */
  to?: Input<string>;
};

export type FunctionNodejs = {
  /** @default "esm" */
  format?: Input<"esm" | "cjs">;
  /** Of what is deployed. @default true */
  minify?: Input<boolean>;
  /** Of what is deployed; local code always has source maps. @default false */
  sourcemap?: Input<boolean>;
  /** @default false */
  splitting?: Input<boolean>;
  banner?: Input<string>;
  /** `{ ".png": "file" }` */
  loader?: Input<Record<string, string>>;
  /** Packages that are installed beside the bundle rather than bundled: `["sharp"]`. */
  install?: Input<string[] | Record<string, string>>;
  /** Further esbuild options that are plain data: `{ external: ["pg-native"] }`. */
  esbuild?: Input<Record<string, unknown>>;
  plugins?: Input<string>;
};

/**
 * @example
 * new aws.Function("MyApi", {
 *   handler: "src/api.handler",
 *   url: true,
 *   link: [bucket],
 *   timeout: "3 minutes",
 * });
 */
export type FunctionArgs = {
  /** `path/to/file.export`, relative to the config; the file's extension is left out. */
  handler: Input<string>;
  /** @default "nodejs24.x" */
  runtime?: Input<Runtime>;
  /** @default "x86_64" */
  architecture?: Input<"x86_64" | "arm64">;
  /** Its name in AWS. @default the app's, the stage's and the component's name */
  name?: Input<string>;
  /** In AWS's console; at most 256 characters. */
  description?: Input<string>;
  /** "1 second" to "15 minutes". @default "20 seconds" */
  timeout?: Input<Duration>;
  /** "128 MB" to "10240 MB". @default "1024 MB" */
  memory?: Input<Size>;
  /** What the code finds in `process.env`; a component's output is filled in. */
  environment?: Environment;
  /** Components whose values the code reads from `Resource`; its role may do what they need. */
  link?: Links;
  /** An HTTPS address of its own. @default false */
  url?: Input<boolean | FunctionUrl>;
  /** The URL streams what the handler writes by `awslambda.streamifyResponse`. @default false */
  streaming?: Input<boolean>;
  /** What its role may do, beside its logs and what links need. */
  permissions?: Input<Permission[]>;
  /** In AWS, beside livedev's own. */
  tags?: Input<Record<string, Input<string>>>;
  /** Puts it into the private subnets of a VPC. @default in no VPC */
  vpc?: Vpc | Input<VpcPlacement>;
  /** `false`: it writes no logs. @default { retention: "1 month", format: "text" } */
  logging?: Input<false | FunctionLogging>;
  /** ARNs of layer versions; at most 5. */
  layers?: Input<Input<string>[]>;
  /** Files that are put into the package as they are. */
  copyFiles?: Input<FunctionCopy[]>;
  /** How the code is bundled, in esbuild's words. */
  nodejs?: Input<FunctionNodejs>;
  /** `false`: stays in the cloud during `livedev dev`. @default true */
  dev?: Input<boolean>;
  /** @deprecated SST's older word for `dev`. */
  live?: Input<boolean>;
  /** What answers while nobody develops the stage. @default "error" */
  whenAway?: "error" | "deployed";
  /** May run again from the start when livedev was killed in the middle of it. @default false */
  retryable?: boolean;
} & { [Name in NotCarriedOut]?: unknown };

/** SST's properties that are accepted with a warning. */
type NotCarriedOut =
  | "bundle"
  | "concurrency"
  | "durable"
  | "hook"
  | "injections"
  | "policies"
  | "python"
  | "retries"
  | "role"
  | "storage"
  | "transform"
  | "versioning"
  | "volume";

class LambdaFunction extends Component {
  /** Its name in AWS. */
  readonly name: Output<string>;
  /** Known once the app stands. */
  readonly arn: Output<string>;
  /** Known once the app stands; only with `url`. */
  readonly url: Output<string>;

  constructor(name: string, args: FunctionArgs, options?: unknown) {
    super("aws.Function", name, args, options);
    const app = appIn("aws.Function");
    const { stage } = inConfig("aws.Function");
    const given = args?.name;
    this.name = given instanceof Output ? given : Output.known(given ?? physicalName(app.name, stage, name));
    this.arn = Output.later(`${name}.arn`);
    this.url = Output.later(`${name}.url`);
  }
}

export { LambdaFunction as Function };
