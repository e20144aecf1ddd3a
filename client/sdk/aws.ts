/** Components that stand for things in AWS. Names and properties follow SST's. */
import { physicalName } from "../../proto/app.ts";
import { Component } from "./component.ts";
import { appIn, inConfig } from "./context.ts";
import { Output, type Input } from "./output.ts";

export type Duration =
  `${number} ${"second" | "seconds" | "minute" | "minutes" | "hour" | "hours" | "day" | "days"}`;
export type Size = `${number} ${"MB" | "GB"}`;

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

export type Permission = {
  /** @default "allow" */
  effect?: "allow" | "deny";
  actions: string[];
  resources: Input<string>[];
};

export type FunctionArgs = {
  /** `path/to/file.export`, relative to the config; the file's extension is left out. */
  handler: Input<string>;
  /** @default "nodejs24.x" */
  runtime?: Input<Runtime>;
  /** @default "x86_64" */
  architecture?: Input<"x86_64" | "arm64">;
  /** Its name in AWS. @default the app's, the stage's and the component's name */
  name?: Input<string>;
  description?: Input<string>;
  /** "1 second" to "15 minutes". @default "20 seconds" */
  timeout?: Input<Duration>;
  /** "128 MB" to "10240 MB". @default "1024 MB" */
  memory?: Input<Size>;
  environment?: Input<Record<string, Input<string>>>;
  /** Functions and `Linkable`s whose values the code reads from `Resource`. */
  link?: readonly unknown[];
  /** An HTTPS address of its own. @default false */
  url?: Input<
    | boolean
    | { authorization?: Input<"none" | "iam">; cors?: Input<boolean | UrlCors>; [later: string]: unknown }
  >;
  /** The URL streams what the handler writes by `awslambda.streamifyResponse`. @default false */
  streaming?: Input<boolean>;
  permissions?: Input<Permission[]>;
  tags?: Input<Record<string, Input<string>>>;
  /** How the code is bundled, in esbuild's words. */
  nodejs?: Input<{
    /** @default "esm" */
    format?: Input<"esm" | "cjs">;
    /** Of what is deployed. @default true */
    minify?: Input<boolean>;
    /** Of what is deployed; local code always has source maps. @default false */
    sourcemap?: Input<boolean>;
    /** @default false */
    splitting?: Input<boolean>;
    banner?: Input<string>;
    loader?: Input<Record<string, string>>;
    /** Packages that are installed beside the bundle rather than bundled. */
    install?: Input<string[] | Record<string, string>>;
    esbuild?: Input<Record<string, unknown>>;
    plugins?: Input<string>;
  }>;
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
  | "copyFiles"
  | "durable"
  | "hook"
  | "injections"
  | "layers"
  | "logging"
  | "policies"
  | "python"
  | "retries"
  | "role"
  | "storage"
  | "transform"
  | "versioning"
  | "volume"
  | "vpc";

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

/** For a Linkable's `include`: what the functions that link it may do. */
export function permission(args: Permission): Permission & { type: "aws.permission" } {
  return { type: "aws.permission", ...args };
}
