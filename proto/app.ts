/**
 * The wanted app: what `livedev.config.ts` comes to, as plain data. Every default is filled in, so that who carries it
 * out decides nothing. What is known only once the app stands is an output in its place (`Text`, below); `references`
 * says what a part waits for, `resolveOutputs` fills it in.
 *
 * The app is wanted either for `livedev dev` or for a deployment, and differs: what is not deployed in dev (a database
 * with `dev: { host … }`) has a `dev` there and none in a deployment.
 */
export type WantedApp = {
  readonly name: string;
  readonly stage: string;
  /** `local`: the local cloud. `aws`: the account of the profile and region. */
  readonly home: "local" | "aws";
  readonly region: string;
  readonly profile?: string;
  /** Points every AWS client elsewhere (LocalStack, moto). */
  readonly endpoint?: string;
  /** The way of stubs to this machine, and of local code into the VPC. */
  readonly bastion?: WantedBastion;
  /** The way of stubs to this machine, instead of a bastion's. */
  readonly url?: WantedUrlWay;
  /** Folders, relative to the project, whose changes matter. */
  readonly watch: readonly string[];
  readonly functions: readonly WantedFunction[];
  readonly buckets: readonly WantedBucket[];
  readonly stacks: readonly WantedStack[];
  readonly vpcs: readonly WantedVpc[];
  readonly databases: readonly WantedDatabase[];
  /** Frontends, services, dev commands, and the local databases that have a command. */
  readonly processes: readonly WantedProcess[];
  readonly secrets: readonly WantedSecret[];
  /** What a link to each component gives, whoever links it. */
  readonly linkable?: readonly WantedLink[];
  /** What becomes of data (buckets, databases) when its component is removed, or the stage is. */
  readonly removal: Removal;
  /** Whether removing the stage is refused. */
  readonly protect?: boolean;
  /** What `run()` returned, shown once the app stands; values may hold outputs. */
  readonly outputs?: Readonly<Record<string, unknown>>;
};

/** A host with sshd that stands in the VPC. What is not said here, `~/.ssh/config` may say. */
export type WantedBastion = {
  /** A name, an address, or a `Host` of `~/.ssh/config`. */
  readonly host: string;
  readonly port?: number;
  readonly user?: string;
  /** A file. */
  readonly key?: string;
  /** The one of SSH_AUTH_SOCK, or another one's socket. */
  readonly agent?: boolean | string;
  /** The VPC's, `10.0.0.0/16`: what goes through the tunnel. */
  readonly ranges: readonly string[];
  /** `*.internal`, `db.example.com`: asked of the bastion rather than here. Other names are asked there when they are not found here. */
  readonly names: readonly string[];
  readonly listen: {
    /** Of the bastion, as stubs reach it. Absent: the one that we come in at. */
    readonly address?: string;
    /** Ports, of which each developer has one. */
    readonly first: number;
    readonly last: number;
  };
};

/**
 * An address that the user has already. `tls://host:port` leads bytes as they are; `wss://…` ends TLS, and passes
 * WebSockets on.
 */
export type WantedUrlWay = {
  readonly address: string;
  /** Of this machine's loopback, where it leads to. */
  readonly port: number;
};

/** `retain`: buckets and databases stay. `retain-all`: everything stays. */
export type Removal = "remove" | "retain" | "retain-all";

// ---- functions

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
  readonly environment: Readonly<Record<string, Text>>;
  readonly url?: WantedUrl;
  readonly link: readonly WantedLink[];
  readonly nodejs: WantedNodejs;
  /** `false`: stays in the cloud during `livedev dev`. */
  readonly dev: boolean;
  /** What answers while nobody develops the stage. */
  readonly whenAway: "error" | "deployed";
  /** May run again from the start when the daemon died in the middle of it. */
  readonly retryable: boolean;
  /** What its role may do beside writing its own logs; what its links need is among them. */
  readonly permissions?: readonly WantedPermission[];
  /** In AWS, beside livedev's own. */
  readonly tags?: Readonly<Record<string, string>>;
  /** Absent: in no VPC. */
  readonly vpc?: WantedPlacement;
  /** `false`: its role may not write logs. */
  readonly logging: WantedLogging | false;
  /** ARNs of layer versions, in the order in which Lambda lays them. */
  readonly layers: readonly Text[];
  /** Files and folders that are put into the package as they are. */
  readonly copyFiles: readonly WantedCopy[];
};

/** A function as it runs: its outputs are filled in, and a variable that is not known yet is not there. */
export interface ResolvedFunction extends WantedFunction {
  readonly environment: Readonly<Record<string, string>>;
}

/** A statement of the role's policy. */
export type WantedPermission = {
  readonly effect: "allow" | "deny";
  readonly actions: readonly string[];
  readonly resources: readonly Text[];
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

/** Network interfaces in these subnets, behind these security groups. Of a `Vpc`, both are outputs of it. */
export type WantedPlacement = { readonly subnets: Texts; readonly securityGroups: Texts };

export type WantedLogging = {
  readonly format: "text" | "json";
  /** One of the counts of days that CloudWatch takes. Absent: for ever. */
  readonly retentionDays?: number;
  /** An existing log group, by its name, instead of the function's own. */
  readonly logGroup?: Text;
};

/** `from` is relative to the project, `to` to the package. */
export type WantedCopy = { readonly from: string; readonly to: string };

/** What `Resource.<name>` gives in the code. Values may hold outputs: `resolveOutputs` fills them in. */
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

// ---- other components

/** Outputs: `name`, `arn`, `domain`. */
export type WantedBucket = {
  readonly name: string;
  /** The name of a bucket that stands and stays as it is: it is linked, not made. */
  readonly existing?: Text;
  /** Who may read its objects beside the account: nobody, CloudFront, everybody. */
  readonly access: "private" | "cloudfront" | "public";
  /** Absent: browsers of other origins get nothing. */
  readonly cors?: WantedCors;
  readonly versioning: boolean;
  /** Requests without TLS are refused. */
  readonly enforceHttps: boolean;
  readonly lifecycle: readonly WantedLifecycle[];
  /** Further statements of its policy, beside what `access` and `enforceHttps` need. */
  readonly policy: readonly WantedBucketPolicy[];
};

export type WantedBucketPolicy = {
  readonly effect: "allow" | "deny";
  readonly actions: readonly string[];
  readonly principals:
    | "*"
    | readonly {
        readonly type: "aws" | "service" | "federated" | "canonical";
        readonly identifiers: readonly Text[];
      }[];
  readonly conditions: readonly {
    readonly test: string;
    readonly variable: string;
    readonly values: readonly Text[];
  }[];
  /** Of the objects; "" is the bucket itself. */
  readonly paths: readonly string[];
};

export type WantedLifecycle = {
  readonly id?: string;
  readonly enabled: boolean;
  readonly prefix?: string;
  /** Of the two, one is there. */
  readonly expiresInDays?: number;
  /** ISO 8601, midnight UTC. */
  readonly expiresAt?: string;
};

/** Any other AWS resource, carried out by CloudFormation. Outputs: `outputs` (all), `outputs.<Name>`, `id`. */
export type WantedStack = {
  readonly name: string;
  readonly template: WantedTemplate;
  /** Lists are joined by commas, as CloudFormation's list types take them. */
  readonly parameters: Readonly<Record<string, Text | Texts>>;
  readonly capabilities: readonly ("CAPABILITY_IAM" | "CAPABILITY_NAMED_IAM" | "CAPABILITY_AUTO_EXPAND")[];
  /** In AWS, on each of its resources, beside livedev's own. */
  readonly tags: Readonly<Record<string, string>>;
};

export type WantedTemplate =
  /** As it stands in the file, JSON or YAML; the file is relative to the project. */
  | { readonly file: string; readonly text: string }
  /** As the config wrote it; outputs may stand anywhere in it. */
  | { readonly body: Readonly<Record<string, unknown>> };

/** Outputs: `id`, `publicSubnets`, `privateSubnets`, `securityGroups` (lists). */
export type WantedVpc = { readonly name: string } & (
  | {
      readonly is: "new";
      /** Availability zones, 1 to 3: each has a public and a private subnet. */
      readonly az: number;
      /** How private subnets reach the internet. Absent: they do not. */
      readonly nat?: WantedNat;
      /** A small EC2 instance in a public subnet that `livedev` tunnels through. */
      readonly bastion: boolean;
    }
  | { readonly is: "existing"; readonly id: Text }
  /** The one that has all of these; none or several is an error of the deployment. */
  | { readonly is: "tagged"; readonly tags: Readonly<Record<string, string>> }
);

export type WantedNat =
  | {
      readonly type: "managed";
      /** Allocation ids of Elastic IPs, one per zone. */ readonly ip?: readonly Text[];
    }
  | {
      readonly type: "ec2";
      readonly ip?: readonly Text[];
      readonly instance: string;
      /** Absent: a current image of fck-nat's or of Amazon Linux's, by the deployment's choice. */
      readonly ami?: Text;
    };

/**
 * Outputs: `id`, `host`, `port` (a number), `username`, `password`; of Postgres also `database`. With `dev` these are
 * already filled in wherever they are used.
 */
export type WantedDatabase = WantedPostgres | WantedRedis;

export type WantedPostgres = {
  readonly name: string;
  readonly kind: "aws.Postgres";
  readonly version: string;
  /** RDS's class without `db.`: `t4g.micro`. */
  readonly instance: string;
  /** 20 to 65,536. */
  readonly storageGb: number;
  readonly username: string;
  /** Absent: the deployment makes one and keeps it. */
  readonly password?: Text;
  readonly database: string;
  /** RDS Proxy in front of it. */
  readonly proxy: boolean;
  readonly multiAz: boolean;
  /** Absent only with `dev`. Without security groups the VPC's default one holds. */
  readonly vpc?: WantedPlacement;
  /** Only in dev: it is not deployed, and links lead here. */
  readonly dev?: LocalDatabase & { readonly database: string };
};

export type WantedRedis = {
  readonly name: string;
  readonly kind: "aws.Redis";
  readonly engine: "redis" | "valkey";
  readonly version: string;
  /** ElastiCache's type without `cache.`: `t4g.micro`. */
  readonly instance: string;
  /** Node groups of the cluster; `false`: cluster mode is off. */
  readonly cluster: { readonly nodes: number } | false;
  readonly vpc?: WantedPlacement;
  readonly dev?: LocalDatabase;
};

/** Its command, where it has one, is among the app's `processes`. */
export type LocalDatabase = {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: Text;
};

/** A frontend, a service, or a free command: run locally in dev, deployed by a command of its own or by a template. */
export type WantedProcess = {
  readonly name: string;
  readonly kind: ProcessKind;
  /** What runs during `livedev dev`. Absent: nothing (`dev: false`, or a service without a command). */
  readonly dev?: WantedDevProcess;
  readonly environment: Readonly<Record<string, Text>>;
  /** Also the order of starting: after the processes it links to. */
  readonly link: readonly WantedLink[];
  /** What its links need of AWS. */
  readonly permissions: readonly WantedPermission[];
  /** What a real deployment does. Absent: it cannot carry the component out, and stops before anything changes. */
  readonly deploy?: WantedProcessDeploy;
};

export type ProcessKind =
  | "aws.Nextjs"
  | "aws.Remix"
  | "aws.Astro"
  | "aws.Nuxt"
  | "aws.SvelteKit"
  | "aws.StaticSite"
  | "aws.Service"
  | "DevCommand"
  | WantedDatabase["kind"];

export type WantedDevProcess = {
  /** For the shell. */
  readonly command: Text;
  /** Relative to the project. */
  readonly directory: string;
  /** Where it answers, as far as the config knows. */
  readonly url?: Text;
  /** A regular expression that a line of its output matches once it is ready. */
  readonly ready?: string;
  /** `false`: is started by hand. */
  readonly autostart: boolean;
  /** In lists, instead of the name. */
  readonly title: string;
};

export type WantedProcessDeploy =
  /** There is nothing of it in AWS. */
  | { readonly by: "nothing" }
  /** With the component's environment and links. The URL is what it prints last, where `url` is absent. */
  | { readonly by: "command"; readonly command: Text; readonly directory: string; readonly url?: Text }
  /** Files in S3, behind CloudFront. Outputs: `url`. */
  | {
      readonly by: "files";
      /** Run first, with the component's environment. Absent: `output` is there already. */
      readonly build?: Text;
      readonly directory: string;
      /** The folder of the files, relative to the project. */
      readonly output: string;
      readonly indexPage: string;
      /** What is answered where there is no such file, with status 404. Absent: the index page, with 200. */
      readonly errorPage?: string;
    };

/** Output: `value`. */
export type WantedSecret = {
  readonly name: string;
  /** Where neither the stage nor the app's fallback has a value. It stands in the config, so it is no secret. */
  readonly placeholder?: Text;
};

// ---- outputs

/**
 * A value, somewhere in plain data, that is known once the app stands: text and references that are joined then. A
 * reference is a component's name and a path in what it gives: `MyApi.url`, `MyStack.outputs.QueueUrl`. One reference
 * alone stands for the value as it is, which may be a number or a list. `json` is data, with outputs in it, that
 * becomes JSON text.
 */
export type WantedOutput = {
  readonly [OUTPUT]: readonly (string | { readonly ref: string } | { readonly json: unknown })[];
};

export const OUTPUT = "livedev:output";

export type Text = string | WantedOutput;
export type Texts = readonly Text[] | WantedOutput;

/**
 * `value` with each output in it replaced; an output with a reference that `lookup` does not know (undefined) becomes
 * null.
 */
export function resolveOutputs(value: unknown, lookup: (ref: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => resolveOutputs(item, lookup));
  if (typeof value !== "object" || value === null) return value;
  if (OUTPUT in value) {
    const parts = (value as WantedOutput)[OUTPUT].map((part) => {
      if (typeof part === "string") return part;
      if ("ref" in part) return lookup(part.ref);
      const known = references(part.json).every(
        ({ component, path }) => lookup(`${component}.${path}`) !== undefined,
      );
      return known ? JSON.stringify(resolveOutputs(part.json, lookup)) : undefined;
    });
    if (parts.includes(undefined)) return null;
    return parts.length === 1 ? parts[0] : parts.join("");
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveOutputs(item, lookup)]));
}

/** What the outputs in `value` refer to: `{ component: "MyApi", path: "url" }`. */
export function references(value: unknown): { readonly component: string; readonly path: string }[] {
  if (typeof value !== "object" || value === null) return [];
  if (!(OUTPUT in value)) return Object.values(value).flatMap(references);
  return (value as WantedOutput)[OUTPUT].flatMap((part) => {
    if (typeof part === "string") return [];
    if (!("ref" in part)) return references(part.json);
    const dot = part.ref.indexOf(".");
    return [{ component: part.ref.slice(0, dot), path: part.ref.slice(dot + 1) }];
  });
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
