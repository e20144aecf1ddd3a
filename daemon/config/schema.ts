/**
 * What a config may say, with the reason of each refusal: it completes the sentence "<property> is <value>; …".
 * Names and properties follow SST's. Each schema gives the property's wanted form.
 */
import { z } from "zod";

import type { WantedCors, WantedUrl } from "../../proto/app.ts";
import { durationMs, sizeMb } from "./units.ts";

const text = (reason: string) => z.string({ error: reason });
const flag = z.boolean({ error: "write true or false" });
const texts = z.array(text("write a string"), { error: 'write a list of strings, ["…"]' });

function parsed<T>(reason: string, parse: (value: string) => T | undefined) {
  return text(reason).transform((value, context) => {
    const result = parse(value);
    if (result !== undefined) return result;
    context.addIssue({ code: "custom", message: reason });
    return z.NEVER;
  });
}

const within = <T extends number>(value: T | undefined, least: number, most: number) =>
  value !== undefined && value >= least && value <= most && Number.isInteger(value) ? value : undefined;

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
  text("write a string"),
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
    maxAge: parsed('write it as "1 hour", up to "1 day"', (value) =>
      within((durationMs(value) ?? -1) / 1000, 0, 86_400),
    ).optional(),
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

function wantedCors({ maxAge, ...rest }: z.output<typeof cors>): WantedCors {
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  return {
    ...(Object.fromEntries(given) as WantedCors),
    ...(maxAge !== undefined && { maxAgeSeconds: maxAge }),
  };
}

/** A reason for a value of the wrong kind; unknown keys have a sentence of their own. */
function notThis(reason: string) {
  return (issue: { code: string }) => (issue.code === "invalid_type" ? reason : undefined);
}

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

const permission = z
  .strictObject(
    {
      type: z.literal("aws.permission").optional(),
      effect: z.enum(["allow", "deny"]).default("allow"),
      actions: texts,
      resources: texts,
    },
    { error: notThis('write { actions: ["s3:GetObject"], resources: ["arn:…"] }') },
  )
  .transform(({ effect, actions, resources }) => ({ effect, actions, resources }));

export const functionArgs = z.strictObject(
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
    permissions: z.array(permission, { error: "write a list, [{ actions, resources }]" }).default([]),
    tags: z
      .record(z.string(), text("write a string"), { error: 'write it as { name: "value" }' })
      .default({}),
    nodejs,
    dev: flag.default(true),
    live: flag.default(true),
    whenAway: z.enum(["error", "deployed"]).default("error"),
    retryable: flag.default(false),
  },
  { error: notThis('write { handler: "src/api.handler" }') },
);

export const linkableArgs = z.strictObject(
  {
    properties: z.record(z.string(), z.unknown(), {
      error: "write the values that Resource gives, { bucket: … }",
    }),
    include: z.array(z.unknown(), { error: "write a list, [aws.permission({ … })]" }).default([]),
  },
  { error: notThis("write { properties: { … } }") },
);

export const includedPermission = permission;

const providerAws = z.looseObject({
  region: text("write a region's name").optional(),
  profile: text("write a profile's name").optional(),
});

export const appArgs = z.strictObject(
  {
    name: text("write letters, digits and dashes").regex(/^[A-Za-z][A-Za-z0-9-]{0,39}$/, {
      error: "write letters, digits and dashes, at most 40, the first a letter",
    }),
    home: z.enum(["local", "aws"]),
    watch: z.array(text("write a folder"), { error: 'write a list of folders, ["src"]' }).default(["."]),
    region: text("write a region's name, us-east-1").optional(),
    profile: text("write a profile's name").optional(),
    endpoint: z.url({ error: 'write a URL, "http://localhost:4566"' }).optional(),
    removal: z.enum(["remove", "retain", "retain-all"]).default("retain"),
    protect: flag.default(false),
    providers: z.looseObject({ aws: z.union([flag, z.string(), providerAws]).optional() }).default({}),
  },
  { error: notThis('write { name: "my-app", home: "local" }') },
);

/** SST's properties that are accepted, with a warning. */
export const NOT_CARRIED_OUT: Readonly<
  Record<"app" | "aws.Function" | "aws.Function url" | "aws.Function nodejs", readonly string[]>
> = {
  app: ["version", "backend"],
  "aws.Function": [
    "bundle",
    "concurrency",
    "copyFiles",
    "durable",
    "hook",
    "injections",
    "layers",
    "logging",
    "policies",
    "python",
    "retries",
    "role",
    "storage",
    "transform",
    "versioning",
    "volume",
    "vpc",
  ],
  "aws.Function url": ["router", "route"],
  "aws.Function nodejs": ["plugins"],
};

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
