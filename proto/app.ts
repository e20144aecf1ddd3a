/** The wanted app: what `livedev.config.ts` comes to, as plain data. Every default is filled in. */
export type WantedApp = {
  readonly name: string;
  readonly stage: string;
  /** `local`: the local cloud. `aws`: the account of the profile and region. */
  readonly home: "local" | "aws";
  readonly region: string;
  readonly profile?: string;
  /** Points every AWS client elsewhere (LocalStack, moto). */
  readonly endpoint?: string;
  /** Folders, relative to the project, whose changes matter. */
  readonly watch: readonly string[];
  readonly functions: readonly WantedFunction[];
  /** Whether removing the stage is refused. */
  readonly protect?: boolean;
  /** What `run()` returned, shown once the app stands; values may hold outputs. */
  readonly outputs?: Readonly<Record<string, unknown>>;
};

export type WantedFunction = {
  /** The component's name, unique in the app. */
  readonly name: string;
  /** Its name in AWS where the config gives one; otherwise `physicalName()`. */
  readonly nameInAws?: string;
  /** `path/to/file.export`, relative to the project. */
  readonly handler: string;
  /** One of Lambda's identifiers, `nodejs20.x` … */
  readonly runtime: string;
  readonly architecture: "x86_64" | "arm64";
  readonly description?: string;
  /** 1,000 to 900,000, whole seconds. */
  readonly timeoutMs: number;
  /** 128 to 10,240. */
  readonly memoryMb: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly url?: WantedUrl;
  readonly link: readonly WantedLink[];
  readonly nodejs: WantedNodejs;
  /** `false`: stays in the cloud during `livedev dev`. */
  readonly dev: boolean;
  /** What answers while nobody develops the stage. */
  readonly whenAway: "error" | "deployed";
  /** May run again from the start when the daemon died in the middle of it. */
  readonly retryable: boolean;
  /** What its role may do beside writing its own logs; links add theirs. */
  readonly permissions?: readonly WantedPermission[];
  /** In AWS, beside livedev's own. */
  readonly tags?: Readonly<Record<string, string>>;
};

/** A statement of the role's policy. */
export type WantedPermission = {
  readonly effect: "allow" | "deny";
  readonly actions: readonly string[];
  readonly resources: readonly string[];
};

export type WantedUrl = {
  readonly authorization: "none" | "iam";
  readonly cors?: WantedCors;
  /** The URL streams: Lambda's `RESPONSE_STREAM`. */
  readonly streaming?: boolean;
};

/** @see https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html */
export type WantedCors = {
  readonly allowCredentials?: boolean;
  readonly allowHeaders?: readonly string[];
  readonly allowMethods?: readonly string[];
  readonly allowOrigins?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  readonly maxAgeSeconds?: number;
};

/** What `Resource.<name>` gives in the function's code. Values may hold outputs: `resolveOutputs` fills them in. */
export type WantedLink = { readonly name: string; readonly properties: Readonly<Record<string, unknown>> };

/** esbuild's words. @see https://esbuild.github.io/api/ */
export type WantedNodejs = {
  readonly format: "esm" | "cjs";
  readonly minify: boolean;
  readonly sourcemap: boolean;
  readonly splitting: boolean;
  readonly banner?: string;
  readonly loader: Readonly<Record<string, string>>;
  /** Packages that are installed beside the bundle rather than bundled. */
  readonly install: readonly string[];
  /** Further esbuild build options that are plain data (`external`, `define`, `conditions` …). */
  readonly esbuild: Readonly<Record<string, unknown>>;
};

/**
 * A value, somewhere in plain data, that is known once the app stands: text and references (`MyApi.url`) that are
 * joined then.
 */
export type WantedOutput = { readonly [OUTPUT]: readonly (string | { readonly ref: string })[] };

export const OUTPUT = "livedev:output";

/** `value` with each output in it replaced; an output with a reference that `lookup` does not know becomes null. */
export function resolveOutputs(value: unknown, lookup: (ref: string) => string | undefined): unknown {
  if (Array.isArray(value)) return value.map((item) => resolveOutputs(item, lookup));
  if (typeof value !== "object" || value === null) return value;
  if (OUTPUT in value) {
    const parts = (value as WantedOutput)[OUTPUT].map((part) =>
      typeof part === "string" ? part : lookup(part.ref),
    );
    return parts.includes(undefined) ? null : parts.join("");
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveOutputs(item, lookup)]));
}

/** Lambda's and IAM's limit. */
const NAME_LIMIT = 64;

/** The name in AWS of a component of a stage; one too long is cut and told apart by a hash of the whole. */
export function physicalName(app: string, stage: string, component: string): string {
  const whole = `${app}-${stage}-${component}`;
  if (whole.length <= NAME_LIMIT) return whole;
  // FNV-1a: this runs where Node's crypto is not.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(whole)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return `${whole.slice(0, NAME_LIMIT - 9)}-${hash.toString(16).padStart(8, "0")}`;
}

// ---- while a config is evaluated: between the SDK that it imports and the program that runs it

/**
 * On `globalThis`, while a config is evaluated: where its components gather. There, not in a module, since the SDK
 * that the config imports may be another copy than the one that set the globals.
 */
export const EVALUATION = Symbol.for("livedev.evaluation");

export type Evaluation = {
  readonly stage: string;
  /** `livedev dev`, as opposed to a deployment. */
  readonly dev: boolean;
  /** What `app()` returned, once it has. */
  app?: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly components: EvaluatedComponent[];
};

export type EvaluatedComponent = {
  /** `aws.Function`, `Linkable`. */
  readonly kind: string;
  readonly name: unknown;
  readonly args: unknown;
  readonly options: unknown;
  /** Of the constructor's caller. */
  readonly stack: string;
};

/** A method under which a value that is no plain data gives its plain form. */
export const PLAIN = Symbol.for("livedev.plain");

/** Plain forms of what is no data; OUTPUT is the third. */
export const COMPONENT = "livedev:component";
export const UNKNOWN = "livedev:unknown";
