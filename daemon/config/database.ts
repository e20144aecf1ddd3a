/** `Postgres` and `Redis`. With `dev`, under `livedev dev`, one is not deployed: its outputs are what `dev` says. */
import * as z from "zod";

import type { Text, WantedDatabase, WantedPlacement, WantedProcess } from "../../proto/app.ts";
import type { RawComponent } from "./messages.ts";
import { parse, subject, without, type Context, type Notes, type Read, type Reading } from "./reading.ts";
import { sizeGb } from "./units.ts";
import {
  anyText,
  count,
  flag,
  given,
  isObject,
  notThis,
  parsed,
  path,
  placement,
  reference,
  text,
  within,
} from "./values.ts";

const port = (standard: number) => count(1, 65_535).default(standard);

const local = {
  host: text("write a host's name").default("localhost"),
  command: text('write a command, "docker compose up"').min(1, { error: "write a command" }).optional(),
  directory: path("packages/db").default("."),
  autostart: flag.default(true),
  title: text("write a string").optional(),
};

const LOCAL = { error: notThis('write { host: "localhost", port: … }') };

const instance = text('write a type of AWS\'s, "t4g.micro"')
  .regex(/^(?!db\.|cache\.)[a-z0-9-]+\.[a-z0-9]+$/, { error: 'write it without db. or cache., "t4g.micro"' })
  .default("t4g.micro");

const postgres = z.strictObject(
  {
    version: text('write a version, "16.4"').default("16.4"),
    instance,
    storage: parsed('write it as "20 GB" or "1 TB", from 20 GB to 64 TB', (value) =>
      within(sizeGb(value), 20, 65_536),
    ).default(20),
    username: text("write a string")
      .regex(/^[A-Za-z]\w{0,62}$/, { error: "write letters, digits and _, at most 63, the first a letter" })
      .default("postgres"),
    password: anyText("write a string, or better a Secret's value").optional(),
    database: text("write a string")
      .regex(/^[A-Za-z]\w{0,62}$/, { error: "write letters, digits and _, at most 63, the first a letter" })
      .optional(),
    proxy: z.preprocess((value) => (isObject(value) ? true : value), flag.default(false)),
    multiAz: flag.default(false),
    vpc: placement({ securityGroups: "optional", example: '{ subnets: ["subnet-…"] }' }).optional(),
    dev: z
      .strictObject(
        {
          ...local,
          port: port(5432),
          username: text("write a string").optional(),
          password: anyText("write a string").optional(),
          database: text("write a string").optional(),
        },
        LOCAL,
      )
      .optional(),
  },
  { error: notThis("write { vpc }, { vpc, dev: { … } } or { dev: { … } }") },
);

export const readPostgres: Read = (component, context, notes) => {
  const name = String(component.name);
  const linked = link(name, ["host", "port", "username", "password", "database"]);
  const args = read(postgres, ["transform", "replicas"], component, context, notes);
  if (args === undefined) return { linked };
  const { username, password, version, storage, proxy, multiAz, vpc } = args;
  const database = args.database ?? (context.app?.name ?? "").replaceAll("-", "_");
  const dev = args.dev && {
    host: args.dev.host,
    port: args.dev.port,
    username: args.dev.username ?? username,
    password: args.dev.password ?? password ?? "",
    database: args.dev.database ?? database,
  };
  const wanted: WantedDatabase = {
    name,
    kind: "aws.Postgres",
    version,
    instance: args.instance,
    storageGb: storage,
    username,
    database,
    proxy,
    multiAz,
    ...given({ password, vpc, dev }),
  };
  return whole(wanted, args.dev, { username, database, ...dev }, linked);
};

const redis = z.strictObject(
  {
    engine: z.enum(["redis", "valkey"]).default("redis"),
    version: text('write a version, "7.1"').optional(),
    instance,
    cluster: z.preprocess(
      (value) => (value === true || value === undefined ? {} : value === false ? null : value),
      z
        .strictObject(
          { nodes: count(1, 500).default(1) },
          { error: notThis("write true, false or { nodes }") },
        )
        .nullable(),
    ),
    nodes: count(1, 500).optional(),
    vpc: placement({
      securityGroups: "optional",
      example: '{ subnets: ["subnet-…"], securityGroups: ["sg-…"] }',
    }).optional(),
    dev: z
      .strictObject(
        {
          ...local,
          port: port(6379),
          username: text("write a string").default("default"),
          password: anyText("write a string").default(""),
        },
        LOCAL,
      )
      .optional(),
  },
  { error: notThis("write { vpc }, { vpc, dev: { … } } or { dev: { … } }") },
);

export const readRedis: Read = (component, context, notes) => {
  const name = String(component.name);
  const linked = link(name, ["host", "port", "username", "password"]);
  const args = read(redis, ["transform", "parameters"], component, context, notes);
  if (args === undefined) return { linked };
  const { engine, vpc } = args;
  const dev = args.dev && {
    host: args.dev.host,
    port: args.dev.port,
    username: args.dev.username,
    password: args.dev.password,
  };
  const wanted: WantedDatabase = {
    name,
    kind: "aws.Redis",
    engine,
    version: args.version ?? (engine === "redis" ? "7.1" : "7.2"),
    instance: args.instance,
    cluster: args.cluster === null ? false : { nodes: args.nodes ?? args.cluster.nodes },
    ...given({ vpc, dev }),
  };
  return whole(wanted, args.dev, { username: "default", ...dev }, linked);
};

function link(name: string, paths: readonly string[]) {
  return {
    properties: Object.fromEntries(paths.map((path) => [path, reference(name, path)])),
    permissions: [],
  };
}

/** `dev` counts in dev alone; where it does not, the database stands in a VPC. */
function read<Schema extends z.ZodType<{ vpc?: WantedPlacement | undefined; dev?: unknown }>>(
  schema: Schema,
  notCarriedOut: readonly string[],
  component: RawComponent,
  { dev }: Context,
  notes: Notes,
): z.output<Schema> | undefined {
  const value = without(component.args ?? {}, notCarriedOut, subject(component), notes.warn);
  const args = parse(schema, value, component, notes);
  if (args === undefined) return undefined;
  const cut = dev ? args : { ...args, dev: undefined };
  if (cut.dev !== undefined || cut.vpc !== undefined) return cut;
  notes.problem(
    `${subject(component)}: vpc is missing; write a Vpc component${dev ? ", or dev: { … } for a local one" : ""}`,
    component.place,
  );
  return undefined;
}

type Local = {
  readonly host: string;
  readonly port: number;
  readonly command?: string | undefined;
  readonly directory: string;
  readonly autostart: boolean;
  readonly title?: string | undefined;
};

function whole(
  wanted: WantedDatabase,
  dev: Local | undefined,
  known: Readonly<Record<string, Text | number>>,
  linked: Reading["linked"] & object,
): Reading {
  return {
    linked,
    known,
    add: ({ databases, processes }) => {
      databases.push(wanted);
      if (dev?.command !== undefined) processes.push(localProcess(wanted, { ...dev, command: dev.command }));
    },
  };
}

function localProcess(
  { name, kind }: WantedDatabase,
  { host, port, command, directory, autostart, title = name }: Local & { readonly command: string },
): WantedProcess {
  const url = `${kind === "aws.Postgres" ? "postgresql" : "redis"}://${host}:${port}`;
  return {
    name,
    kind,
    // It is ready when its port answers.
    dev: { command, directory, autostart, title, url },
    environment: {},
    link: [],
    permissions: [],
    deploy: { by: "nothing" },
  };
}
