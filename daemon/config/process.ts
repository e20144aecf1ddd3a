/** Frontends, services and free commands: what runs in dev, and what a real deployment does instead. */
import { posix } from "node:path";

import * as z from "zod";

import type { ProcessKind, Text, WantedProcessDeploy } from "../../proto/app.ts";
import type { RawComponent } from "./messages.ts";
import { permissions } from "./permissions.ts";
import {
  environmentOf,
  follow,
  parse,
  subject,
  without,
  type Context,
  type Notes,
  type Read,
} from "./reading.ts";
import { anyText, flag, given, isObject, notThis, path, reference, text } from "./values.ts";

/** Outputs may be in it: an ARN that a command is given. */
const command = (example: string) =>
  anyText(`write a command, "${example}"`).refine((value) => value !== "", {
    error: `write a command, "${example}"`,
  });

function isExpression(text: string): boolean {
  try {
    return new RegExp(text, "u") instanceof RegExp;
  } catch {
    return false;
  }
}

const dev = z
  .strictObject(
    {
      command: command("npm run dev").optional(),
      directory: path("packages/web").optional(),
      url: anyText('write a URL, "http://localhost:3000"').optional(),
      ready: text('write a regular expression, "listening on"')
        .refine(isExpression, { error: 'is no regular expression: write "listening on"' })
        .optional(),
      autostart: flag.default(true),
      title: text("write a string").optional(),
    },
    { error: notThis('write { command: "npm run dev" }') },
  )
  .prefault({});

const common = {
  dev: z.preprocess((value) => (value === false ? null : value), dev.nullable()),
  environment: z
    .record(
      z.string().regex(/^[A-Za-z_]\w*$/, { error: "must be letters, digits and _, the first no digit" }),
      anyText("write a string"),
      { error: 'write it as { NAME: "value" }' },
    )
    .default({}),
  link: z.array(z.unknown(), { error: "write a list of components, [storage]" }).default([]),
  permissions,
  deploy: z
    .strictObject(
      {
        command: command("npx vercel deploy"),
        directory: path("packages/web").optional(),
        url: anyText('write a URL, "https://example.com"').optional(),
      },
      { error: notThis('write { command: "…" }') },
    )
    .optional(),
};

const site = z.strictObject(
  { ...common, path: path("packages/web").default(".") },
  { error: notThis('write { path: "packages/web" }') },
);

const staticSite = z.strictObject(
  {
    ...common,
    path: path("packages/web").default("."),
    build: z
      .strictObject(
        { command: command("npm run build"), output: path("dist") },
        { error: notThis('write { command: "npm run build", output: "dist" }') },
      )
      .optional(),
    indexPage: page("index.html").default("index.html"),
    errorPage: page("404.html").optional(),
  },
  { error: notThis('write { path: "packages/web" }') },
);

function page(example: string) {
  const error = `write a file's name, "${example}"`;
  return text(error)
    .transform((value) => value.replace(/^\//, ""))
    .refine((value) => value !== "", { error });
}

const service = z.strictObject(
  { ...common, cluster: z.unknown().optional() },
  { error: notThis('write { dev: { command: "node src/worker.ts" } }') },
);

const devCommand = z.strictObject(
  {
    ...common,
    aws: z
      .strictObject(
        { role: z.unknown().optional(), permissions },
        { error: notThis("write { permissions: [{ … }] }") },
      )
      .prefault({}),
  },
  { error: notThis('write { dev: { command: "…" } }') },
);

/** SST's properties of its own deployment. */
const OF_SITES = [
  "assets",
  "buildCommand",
  "cachePolicy",
  "cdn",
  "domain",
  "edge",
  "imageOptimization",
  "invalidation",
  "openNextVersion",
  "protection",
  "regions",
  "route",
  "router",
  "server",
  "transform",
  "vpc",
  "warm",
];
const OF_STATIC_SITES = [
  "assets",
  "cdn",
  "domain",
  "edge",
  "invalidation",
  "route",
  "router",
  "transform",
  "vite",
];
const OF_SERVICES = [
  "architecture",
  "capacity",
  "containers",
  "cpu",
  "entrypoint",
  "executionRole",
  "health",
  "image",
  "loadBalancer",
  "logging",
  "memory",
  "port",
  "public",
  "scaling",
  "serviceRegistry",
  "ssm",
  "storage",
  "taskRole",
  "transform",
  "volumes",
  "vpc",
  "wait",
];

type Plan = {
  readonly kind: ProcessKind;
  readonly path: string;
  /** Where `dev.command` is not given. */
  readonly command?: string;
  /** Without a `deploy.command`. Absent: it cannot be deployed. */
  readonly deploy?: WantedProcessDeploy;
};

type Args = z.output<z.ZodObject<typeof common>>;

/** A site whose framework's build livedev does not know how to deploy. */
export const readSite: Read = (component, context, notes) => {
  const args = prepared(site, OF_SITES, component, context, notes);
  if (args === undefined) return refused(component);
  const kind = component.kind as ProcessKind;
  return process(component, args, { kind, path: args.path, command: "npm run dev" }, context, notes);
};

export const readStaticSite: Read = (component, context, notes) => {
  const args = prepared(staticSite, OF_STATIC_SITES, component, context, notes);
  if (args === undefined) return refused(component);
  const { path: directory, build, indexPage, errorPage } = args;
  const deploy: WantedProcessDeploy = {
    by: "files",
    directory,
    output: build === undefined ? directory : posix.join(directory, build.output),
    indexPage,
    ...given({ build: build?.command, errorPage }),
  };
  const plan = { kind: "aws.StaticSite", path: directory, command: "npm run dev", deploy } as const;
  return process(component, args, plan, context, notes);
};

export const readService: Read = (component, context, notes) => {
  const args = prepared(service, OF_SERVICES, component, context, notes);
  if (args === undefined) return refused(component);
  return process(component, args, { kind: "aws.Service", path: "." }, context, notes);
};

export const readDevCommand: Read = (component, context, notes) => {
  const args = prepared(devCommand, [], component, context, notes);
  if (args === undefined) return refused(component);
  if (args.aws.role !== undefined) notes.warn(`${subject(component)}: aws.role is not carried out yet`);
  const whole = { ...args, permissions: [...args.permissions, ...args.aws.permissions] };
  const plan = { kind: "DevCommand", path: ".", command: "npm run dev", deploy: { by: "nothing" } } as const;
  return process(component, whole, plan, context, notes);
};

/** A cluster holds services in SST; here it is nothing but a name. */
export const readCluster: Read = () => ({});

function prepared<Schema extends z.ZodType>(
  schema: Schema,
  ofDeployment: readonly string[],
  component: RawComponent,
  context: Context,
  notes: Notes,
): z.output<Schema> | undefined {
  const whole = subject(component);
  // In dev nothing is deployed, so nothing is missing.
  const warn = context.dev ? () => {} : notes.warn;
  const args = without(component.args ?? {}, ofDeployment, whole, warn);
  const value = isObject(args)
    ? { ...args, environment: environmentOf(args["environment"], whole, notes) }
    : args;
  return parse(schema, value, component, notes);
}

function linkOf(name: string) {
  return { properties: { url: reference(name, "url") }, permissions: [] };
}

const refused = (component: RawComponent) => ({ linked: linkOf(String(component.name)) });

function process(
  component: RawComponent,
  args: Args,
  plan: Plan,
  context: Context,
  notes: Notes,
): ReturnType<Read> {
  const name = String(component.name);
  const runs = args.dev?.command ?? (args.dev === null ? undefined : plan.command);
  const deploy: WantedProcessDeploy | undefined =
    args.deploy === undefined
      ? plan.deploy
      : {
          by: "command",
          command: args.deploy.command,
          directory: args.deploy.directory ?? plan.path,
          ...given({ url: args.deploy.url }),
        };
  const url: Text | undefined = context.dev ? args.dev?.url : args.deploy?.url;
  return {
    linked: linkOf(name),
    ...(url !== undefined && { known: { url } }),
    add: ({ processes }, links) => {
      const followed = follow(args.link, links, component, context, notes);
      processes.push({
        name,
        kind: plan.kind,
        environment: args.environment,
        link: followed.link,
        permissions: [...args.permissions, ...followed.permissions],
        ...given({ deploy }),
        ...(context.dev &&
          args.dev !== null &&
          runs !== undefined && {
            dev: {
              command: runs,
              directory: args.dev.directory ?? plan.path,
              autostart: args.dev.autostart,
              title: args.dev.title ?? name,
              ...given({ url: args.dev.url, ready: args.dev.ready }),
            },
          }),
      });
    },
  };
}
