/** From what a config evaluated to, to the wanted app: validated, every default filled in. Pure. */
import type { WantedApp, WantedLink } from "../../proto/app.ts";
import { readBucket } from "./bucket.ts";
import { readPostgres, readRedis } from "./database.ts";
import { nearest } from "./did-you-mean.ts";
import { fillApp } from "./fill.ts";
import { readFunction } from "./function.ts";
import { readLinkable } from "./linkable.ts";
import type { Evaluated, RawComponent } from "./messages.ts";
import { sentences, type Problem } from "./problems.ts";
import { readCluster, readDevCommand, readService, readSite, readStaticSite } from "./process.ts";
import {
  subject,
  without,
  type AppParts,
  type Context,
  type Linked,
  type Notes,
  type Parts,
  type Read,
  type Reading,
} from "./reading.ts";
import { APP_NOT_CARRIED_OUT, appArgs } from "./schema.ts";
import { readSecret } from "./secret.ts";
import { readStack } from "./stack.ts";
import { isObject } from "./values.ts";
import { readVpc } from "./vpc.ts";

export type Wanted =
  | { readonly ok: true; readonly app: WantedApp; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** By the kind that the SDK's class gives itself. */
const KINDS: Readonly<Record<string, Read>> = {
  "aws.Function": readFunction,
  "aws.Bucket": readBucket,
  "aws.Stack": readStack,
  "aws.Vpc": readVpc,
  "aws.Postgres": readPostgres,
  "aws.Redis": readRedis,
  "aws.Nextjs": readSite,
  "aws.Remix": readSite,
  "aws.Astro": readSite,
  "aws.Nuxt": readSite,
  "aws.SvelteKit": readSite,
  "aws.StaticSite": readStaticSite,
  "aws.Cluster": readCluster,
  "aws.Service": readService,
  DevCommand: readDevCommand,
  Secret: readSecret,
  Linkable: readLinkable,
};

export function wantedApp(
  evaluated: Extract<Evaluated, { type: "evaluated" }>,
  place: Omit<Context, "app">,
): Wanted {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const notes: Notes = {
    problem: (text, place) => problems.push({ text, place }),
    warn: (text) => warnings.push(text),
  };

  const app = readApp(evaluated.app, place, notes);
  const context: Context = { ...place, app };
  const readings: Reading[] = [];
  const links = new Map<string, Linked | null>();
  const known = new Map<string, unknown>();

  for (const component of named(evaluated.components, notes)) {
    const name = String(component.name);
    if (component.options !== undefined)
      notes.warn(`${subject(component)}: its third argument is not carried out yet`);
    const reading = KINDS[component.kind]?.(component, context, notes) ?? {};
    readings.push(reading);
    links.set(name, reading.linked ?? null);
    for (const [path, value] of Object.entries(reading.known ?? {})) known.set(`${name}.${path}`, value);
  }

  const parts: Parts = {
    functions: [],
    buckets: [],
    stacks: [],
    vpcs: [],
    databases: [],
    processes: [],
    secrets: [],
  };
  for (const { add } of readings) add?.(parts, links);
  const linkable = [...links].flatMap(([name, linked]): WantedLink[] =>
    linked === null ? [] : [{ name, properties: linked.properties }],
  );
  if (problems.length > 0 || app === undefined) return { ok: false, problems };
  const outputs = isObject(evaluated.outputs) ? { outputs: evaluated.outputs } : {};
  return { ok: true, app: fillApp({ ...app, ...parts, linkable, ...outputs }, known), warnings };
}

/** Components whose name is one and is theirs alone. */
function named(components: readonly RawComponent[], notes: Notes): RawComponent[] {
  const first = new Map<string, RawComponent>();
  return components.filter((component) => {
    const { name, kind, place } = component;
    // SST lets dev commands be called as one likes: "Prisma Studio".
    const valid = kind === "DevCommand" ? /^[A-Za-z][\w :-]{0,49}$/ : /^[A-Za-z][A-Za-z0-9_]{0,49}$/;
    if (typeof name !== "string" || !valid.test(name) || name === "App") {
      const shown = typeof name === "string" ? JSON.stringify(name) : "not a string";
      const reason =
        name === "App"
          ? "Resource.App is the app itself"
          : "write letters, digits and _, at most 50, the first a letter";
      notes.problem(`${kind}: the component's name is ${shown}; ${reason}`, place);
      return false;
    }
    const taken = first.get(name);
    if (taken === undefined) {
      first.set(name, component);
      return true;
    }
    const where = taken.place === undefined ? "" : ` at ${taken.place.file}:${taken.place.line}`;
    notes.problem(
      `${subject(component)}: the name is taken by the ${taken.kind}${where}; names are unique in the app`,
      place,
    );
    return false;
  });
}

function readApp(value: unknown, context: Omit<Context, "app">, notes: Notes): AppParts | undefined {
  const cut = without(value, APP_NOT_CARRIED_OUT, "app()", notes.warn);
  const result = appArgs.safeParse(cut);
  if (!result.success) {
    for (const text of sentences(result.error, cut, "app()", appArgs)) notes.problem(text, undefined);
    return undefined;
  }
  const { name, home, watch, endpoint, removal, protect, bastion, url, providers } = result.data;
  for (const provider of Object.keys(providers)) {
    if (provider !== "aws") notes.warn(`app(): providers.${provider} is not carried out yet`);
  }
  if (bastion !== undefined && url !== undefined) {
    notes.problem(
      "app(): `bastion` and `url` are both ways of stubs to this machine; write one of them",
      undefined,
    );
    return undefined;
  }
  const aws = isObject(providers.aws) ? providers.aws : {};
  for (const key of Object.keys(aws)) {
    if (!["region", "profile", "version"].includes(key))
      notes.warn(`app(): providers.aws.${key} is not carried out yet`);
  }
  const profile = result.data.profile ?? aws.profile;
  return {
    name,
    stage: context.stage,
    home,
    region: result.data.region ?? aws.region ?? context.region,
    watch,
    removal,
    protect,
    ...(profile !== undefined && { profile }),
    ...(endpoint !== undefined && { endpoint }),
    ...(bastion !== undefined && { bastion }),
    ...(url !== undefined && { url }),
  };
}

/** For `aws.Dynamo is not a constructor`: what there is instead. */
export function unknownComponent(message: string): string | undefined {
  const [, name] =
    /^(?:sst\.)?(?:aws\.|x\.)?(\w+) is not a constructor$/.exec(message.replaceAll("import_", "")) ?? [];
  if (name === undefined) return undefined;
  const known = Object.keys(KINDS);
  const meant = nearest(
    name,
    known.map((kind) => kind.replace("aws.", "")),
  );
  if (meant !== undefined) return `livedev has no component ${name}; did you mean ${meant}?`;
  return `livedev has no component ${name}. It has ${known.slice(0, -1).join(", ")} and ${known.at(-1)}; other AWS resources are written as new aws.Stack("${name}", { template }), and values of theirs can be linked by new Linkable("${name}", { properties: { … } })`;
}
