/** All of a stage that stands, and what its components give to those that refer to them. */
import { resolveOutputs, type WantedApp } from "../../proto/app.ts";
import { bucketOutputs, readBuckets } from "./bucket.ts";
import type { Calls } from "./calls.ts";
import { readDeployed, type Read, type Stage } from "./deployed.ts";
import { mayStand, type JournalEntry } from "./journal.ts";
import { readStacks } from "./stack.ts";
import type { StageState } from "./state-file.ts";
import type { DeployedThing } from "./things.ts";

export type Standings = Read & { readonly things: readonly DeployedThing[] };

export async function readAll(
  calls: Calls,
  of: Stage,
  known: {
    readonly journal: readonly JournalEntry[];
    readonly cloudFormation: boolean;
    readonly wanted: readonly string[];
    readonly state?: StageState | undefined;
    readonly thorough?: boolean;
    /** Tells which services need not be asked: with a config that has no stack and never had one, CloudFormation. */
    readonly app?: WantedApp;
  },
): Promise<Standings> {
  const { state, app, journal: entries, thorough = false } = known;
  const noted = (is: string) =>
    (state?.resources ?? []).filter((one) => one.is === is).map(({ nameInAws }) => nameInAws);
  const begun = mayStand(entries, "bucket");
  const buckets = [...begun, ...noted("bucket")];
  const stacks = [...mayStand(entries, "stack"), ...noted("stack")];
  const has = (list: readonly unknown[] | undefined) => list === undefined || list.length > 0;
  const askBuckets = has(app?.buckets) || buckets.length > 0;
  const askStacks =
    known.cloudFormation &&
    ([app?.stacks, app?.vpcs, app?.databases, app?.processes].some(has) || stacks.length > 0);
  const read = await readDeployed(calls, of, {
    wanted: [...known.wanted, ...noted("function")],
    journal: entries,
    thorough,
  });
  const things = [
    ...(askBuckets ? await readBuckets(calls, of, buckets, { begun, thorough }) : []),
    ...(askStacks ? await readStacks(calls, of, thorough) : []),
  ];
  return { ...read, things };
}

/** By reference: `MyApi.url`, `MyStack.outputs.QueueUrl`. */
export function knownIn(
  app: WantedApp,
  { functions, things }: Standings,
  parts: {
    readonly region: string;
    readonly networks?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly passwords?: Readonly<Record<string, string>>;
    readonly secrets?: Readonly<Record<string, string>>;
  },
): Record<string, unknown> {
  const known: Record<string, unknown> = {};
  const add = (component: string, outputs: Readonly<Record<string, unknown>>) => {
    for (const [path, value] of Object.entries(outputs)) {
      if (value !== undefined) known[`${component}.${path}`] = value;
    }
  };
  for (const { component, functionArn, nameInAws, url } of functions) {
    add(component, { arn: functionArn, name: nameInAws, url });
  }
  for (const { component, outputs } of things) add(component, outputs);
  for (const [component, outputs] of Object.entries(parts.networks ?? {})) add(component, outputs);
  for (const { name, existing } of app.buckets) {
    if (typeof existing === "string") add(name, bucketOutputs(existing, parts.region));
  }
  for (const { name, placeholder } of app.secrets) {
    add(name, {
      value: parts.secrets?.[name] ?? (typeof placeholder === "string" ? placeholder : undefined),
    });
  }
  for (const database of app.databases) {
    if (database.dev !== undefined) continue;
    const password = parts.passwords?.[database.name];
    if (database.kind === "aws.Postgres") {
      const given = resolveOutputs(database.password, (ref) => known[ref]) ?? password;
      add(database.name, { username: database.username, database: database.database, password: given });
    } else add(database.name, { username: "default", password });
  }
  for (const { name, deploy } of app.processes) {
    if (deploy?.by !== "command" || deploy.url === undefined) continue;
    add(name, { url: resolveOutputs(deploy.url, (ref) => known[ref]) ?? undefined });
  }
  return known;
}
