import { posix } from "node:path";

import * as z from "zod";

import {
  physicalName,
  type WantedCopy,
  type WantedCors,
  type WantedLogging,
  type WantedUrl,
} from "../../proto/app.ts";
import { allow, permissions } from "./permissions.ts";
import { NO_DATA } from "./plain.ts";
import {
  environmentOf,
  follow,
  parse,
  partition,
  subject,
  without,
  type Context,
  type Notes,
  type Read,
} from "./reading.ts";
import { durationMs, sizeMb } from "./units.ts";
import {
  anyText,
  flag,
  given,
  isObject,
  maxAge,
  notThis,
  parsed,
  path,
  placement,
  reference,
  tags,
  text,
  texts,
  within,
} from "./values.ts";

/** SST documents nodejs24.x as the default. */
const DEFAULT_RUNTIME = "nodejs24.x";
const RUNTIMES = ["nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x"] as const;

const handler = parsed(
  'write it as path/to/file.export, without the file\'s extension: "src/api.handler"',
  (value) => {
    const [, file, name] = /^(.*[^./])\.([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)$/.exec(value) ?? [];
    if (file === undefined || name === undefined || file.startsWith("/")) return undefined;
    return /^[cm]?[jt]sx?$/.test(name) ? undefined : value;
  },
);

const timeout = parsed('write it as "20 seconds" or "3 minutes", from 1 second to 15 minutes', (value) => {
  const seconds = within((durationMs(value) ?? 0) / 1000, 1, 900);
  return seconds === undefined ? undefined : seconds * 1000;
});

const memory = parsed('write it as "1024 MB" or "2 GB", from 128 MB to 10240 MB', (value) =>
  within(sizeMb(value), 128, 10_240),
);

/** @see https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime */
const RESERVED =
  /^(?:LIVEDEV_|AWS_LAMBDA_|AWS_(?:REGION|DEFAULT_REGION|EXECUTION_ENV|ACCESS_KEY|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)$|LAMBDA_(?:TASK_ROOT|RUNTIME_DIR)$)/;

const environment = z.record(
  z.string().superRefine((name, context) => {
    const message = RESERVED.test(name)
      ? "is set by Lambda itself; choose another name"
      : /^[A-Za-z]\w+$/.test(name)
        ? undefined
        : "must be letters, digits and _, at least two, the first a letter";
    if (message !== undefined) context.addIssue({ code: "custom", message });
  }),
  anyText("write a string"),
  { error: 'write it as { NAME: "value" }' },
);

const METHODS = ["*", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"] as const;

const cors = z.strictObject(
  {
    allowCredentials: flag.optional(),
    allowHeaders: texts.default(["*"]),
    allowMethods: z.array(z.enum(METHODS), { error: 'write a list, ["GET", "POST"]' }).default(["*"]),
    allowOrigins: texts.default(["*"]),
    exposeHeaders: texts.optional(),
    maxAge: maxAge.optional(),
  },
  { error: notThis("write true, false or { allowOrigins, … }") },
);

const url = z.preprocess(
  (value) => (value === true ? {} : value === false ? undefined : value),
  z
    .strictObject(
      {
        authorization: z.enum(["none", "iam"]).default("none"),
        cors: z.preprocess(
          (value) => (value === true || value === undefined ? {} : value === false ? null : value),
          cors.nullable(),
        ),
      },
      { error: notThis("write true, or { authorization, cors }") },
    )
    .transform(({ authorization, cors }): WantedUrl => ({
      authorization,
      ...(cors && { cors: wantedCors(cors) }),
    }))
    .optional(),
);

function wantedCors({ maxAge: maxAgeSeconds, ...rest }: z.output<typeof cors>): WantedCors {
  return given({ ...rest, maxAgeSeconds });
}

/** SST's words for the counts of days that CloudWatch takes. */
const RETENTION: Readonly<Record<string, number>> = {
  "1 day": 1,
  "3 days": 3,
  "5 days": 5,
  "1 week": 7,
  "2 weeks": 14,
  "1 month": 30,
  "2 months": 60,
  "3 months": 90,
  "4 months": 120,
  "5 months": 150,
  "6 months": 180,
  "1 year": 365,
  "13 months": 400,
  "18 months": 545,
  "2 years": 731,
  "3 years": 1096,
  "5 years": 1827,
  "6 years": 2192,
  "7 years": 2557,
  "8 years": 2922,
  "9 years": 3288,
  "10 years": 3653,
};

const logging = z.preprocess(
  (value) => (value === false ? null : value === undefined ? {} : value),
  z
    .strictObject(
      {
        retention: z.enum([...Object.keys(RETENTION), "forever"]).default("1 month"),
        format: z.enum(["text", "json"]).default("text"),
        logGroup: anyText("write a log group's name").optional(),
      },
      { error: notThis("write false, or { retention, format, logGroup }") },
    )
    .nullable()
    .transform((value): WantedLogging | false => {
      if (value === null) return false;
      const { retention, format, logGroup } = value;
      // Of a group that is somebody else's, its owner decides.
      return given({
        format,
        retentionDays: logGroup === undefined ? RETENTION[retention] : undefined,
        logGroup,
      });
    }),
);

const layer = anyText('write the ARN of a layer\'s version, "arn:aws:lambda:…:layer:name:1"').refine(
  (value) => typeof value !== "string" || /^arn:[^:]+:lambda:[^:]+:\d+:layer:[^:]+:\d+$/.test(value),
  { error: 'write the ARN of a layer\'s version, "arn:aws:lambda:…:layer:name:1"' },
);

const copyFile = z
  .strictObject(
    { from: path("assets"), to: path("assets").optional() },
    { error: notThis('write { from: "assets" }') },
  )
  .transform(({ from, to = from }, context): WantedCopy => {
    const inPackage = posix.normalize(to);
    if (inPackage !== ".." && !inPackage.startsWith("../")) return { from, to: inPackage };
    context.addIssue({ code: "custom", message: "it would lie outside the package: write `to` also" });
    return z.NEVER;
  });

const nodejs = z
  .strictObject(
    {
      format: z.enum(["esm", "cjs"]).default("esm"),
      minify: flag.default(true),
      sourcemap: flag.default(false),
      splitting: flag.default(false),
      banner: text("write a string").optional(),
      loader: z
        .record(z.string(), text('write a loader of esbuild, "file"'), {
          error: 'write it as { ".png": "file" }',
        })
        .default({}),
      install: z
        .preprocess(
          (value) => (isObject(value) ? Object.keys(value) : value),
          z.array(text("write a package's name"), { error: 'write a list of packages, ["pg"]' }),
        )
        .default([]),
      esbuild: z
        .record(z.string(), z.unknown(), { error: "write esbuild's build options, { external: […] }" })
        .default({}),
    },
    { error: notThis("write { format, minify, … }") },
  )
  .prefault({});

const schema = z.strictObject(
  {
    handler,
    runtime: z.enum(RUNTIMES).default(DEFAULT_RUNTIME),
    architecture: z.enum(["x86_64", "arm64"]).default("x86_64"),
    name: text("write a string")
      .regex(/^[A-Za-z0-9-_]{1,64}$/, { error: "write up to 64 letters, digits, - and _" })
      .optional(),
    description: text("write a string").max(256, { error: "write at most 256 characters" }).optional(),
    timeout: timeout.default(20_000),
    memory: memory.default(1024),
    environment: environment.default({}),
    link: z.array(z.unknown(), { error: "write a list of components, [storage]" }).default([]),
    url,
    streaming: flag.default(false),
    permissions,
    tags,
    vpc: placement({
      securityGroups: "needed",
      example: '{ privateSubnets: ["subnet-…"], securityGroups: ["sg-…"] }',
    }).optional(),
    logging,
    layers: z
      .array(layer, { error: "write a list of ARNs" })
      .max(5, { error: "Lambda takes at most 5" })
      .default([]),
    copyFiles: z.array(copyFile, { error: 'write a list, [{ from: "assets" }]' }).default([]),
    nodejs,
    dev: flag.default(true),
    live: flag.default(true),
    whenAway: z.enum(["error", "deployed"]).default("error"),
    retryable: flag.default(false),
  },
  { error: notThis('write { handler: "src/api.handler" }') },
);

const NOT_CARRIED_OUT = [
  "bundle",
  "concurrency",
  "durable",
  "hook",
  "injections",
  "policies",
  "python",
  "retries",
  "role",
  "storage",
  "transform",
  "versioning",
  "volume",
];

export const readFunction: Read = (component, context, notes) => {
  const args = parse(schema, prepared(component.args, subject(component), notes), component, notes);
  const componentName = String(component.name);
  const linked = linkedFunction(componentName, args, context);
  if (args === undefined) return { linked };
  return {
    linked,
    add: (parts, links) => {
      const followed = follow(args.link, links, component, context, notes);
      const { banner, ...nodejs } = args.nodejs;
      parts.functions.push({
        name: componentName,
        handler: args.handler,
        runtime: args.runtime,
        architecture: args.architecture,
        timeoutMs: args.timeout,
        memoryMb: args.memory,
        environment: args.environment,
        link: followed.link,
        nodejs: { ...nodejs, ...given({ banner }) },
        dev: args.dev && args.live,
        whenAway: args.whenAway,
        retryable: args.retryable,
        permissions: [...args.permissions, ...followed.permissions],
        tags: args.tags,
        logging: args.logging,
        layers: args.layers,
        copyFiles: args.copyFiles,
        ...given({ nameInAws: args.name, description: args.description, vpc: args.vpc }),
        ...(args.url !== undefined && { url: { ...args.url, streaming: args.streaming } }),
      });
    },
  };
};

function prepared(value: unknown, whole: string, notes: Notes): unknown {
  const args = without(value, NOT_CARRIED_OUT, whole, notes.warn);
  if (!isObject(args)) return args;
  return {
    ...args,
    url: without(args["url"], ["router", "route"], whole, notes.warn, "url."),
    nodejs: bundling(without(args["nodejs"], ["plugins"], whole, notes.warn, "nodejs."), whole, notes),
    environment: environmentOf(args["environment"], whole, notes),
  };
}

/** esbuild's options as far as they are data: a plugin is code, which stays in the config's process. */
function bundling(value: unknown, whole: string, notes: Notes): unknown {
  if (!isObject(value) || !isObject(value["esbuild"])) return value;
  const kept = Object.entries(value["esbuild"]).filter(([key, item]) => {
    if (!JSON.stringify(item ?? null).includes(NO_DATA)) return true;
    notes.warn(`${whole}: nodejs.esbuild.${key} is code rather than data and is not carried out yet`);
    return false;
  });
  return { ...value, esbuild: Object.fromEntries(kept) };
}

/** A linked function gives its name, and its URL once that is known; who links it may invoke it. */
function linkedFunction(name: string, args: z.output<typeof schema> | undefined, context: Context) {
  const { app, stage } = context;
  const region = app?.region ?? context.region;
  const inAws = args?.name ?? physicalName(app?.name ?? "", stage, name);
  return {
    properties: { name: inAws, ...(args?.url !== undefined && { url: reference(name, "url") }) },
    permissions: [
      allow(["lambda:InvokeFunction"], [`arn:${partition(region)}:lambda:${region}:*:function:${inAws}`]),
    ],
  };
}
