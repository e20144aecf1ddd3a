/** From what a config evaluated to, to the wanted app: validated, every default filled in. Pure. */
import {
  COMPONENT,
  physicalName,
  UNKNOWN,
  type WantedApp,
  type WantedFunction,
  type WantedLink,
  type WantedPermission,
} from "../../proto/app.ts";
import { nearest } from "./did-you-mean.ts";
import type { Evaluated, Place, RawComponent } from "./messages.ts";
import { NO_DATA, noData } from "./plain.ts";
import { componentName, sentences, type Problem } from "./problems.ts";
import {
  appArgs,
  functionArgs,
  includedPermission,
  isObject,
  linkableArgs,
  NOT_CARRIED_OUT,
} from "./schema.ts";

export type Wanted =
  | { readonly ok: true; readonly app: WantedApp; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

type Context = {
  readonly stage: string;
  /** The region where neither the config nor a provider names one. */
  readonly region: string;
};

export function wantedApp(evaluated: Extract<Evaluated, { type: "evaluated" }>, context: Context): Wanted {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const notes: Notes = {
    problem: (text, place) => problems.push({ text, place }),
    warn: (text) => warnings.push(text),
  };

  const app = readApp(evaluated.app, context, notes);
  const links = new Map<string, Linked>();
  const functions: { component: RawComponent; args: FunctionArgs }[] = [];

  for (const component of named(evaluated.components, notes)) {
    const name = String(component.name);
    if (component.options !== undefined)
      notes.warn(`${subject(component)}: its third argument is not carried out yet`);
    if (component.kind === "Linkable") {
      const args = readLinkable(component, notes);
      if (args !== undefined) links.set(name, args);
      continue;
    }
    const args = readFunction(component, notes);
    if (args !== undefined) functions.push({ component, args });
    // Also a refused one can be linked: one mistake gives one error.
    links.set(name, functionLink(name, args, app, context));
  }

  const wanted = functions.map(({ component, args }) =>
    wantedFunction(component, args, links, notes, app, context),
  );
  if (problems.length > 0 || app === undefined) return { ok: false, problems };
  const outputs = isObject(evaluated.outputs) ? { outputs: evaluated.outputs } : {};
  return {
    ok: true,
    app: {
      ...app,
      functions: wanted,
      buckets: [],
      stacks: [],
      vpcs: [],
      databases: [],
      processes: [],
      secrets: [],
      ...outputs,
    },
    warnings,
  };
}

type FunctionArgs = ReturnType<typeof functionArgs.parse>;
type Linked = {
  readonly properties: Readonly<Record<string, unknown>>;
  readonly permissions: readonly WantedPermission[];
};
type Notes = { problem(text: string, place: Place | undefined): void; warn(text: string): void };

const subject = (component: RawComponent) => `${component.kind} "${String(component.name)}"`;

/** Components whose name is one and is theirs alone. */
function named(components: readonly RawComponent[], notes: Notes): RawComponent[] {
  const first = new Map<string, RawComponent>();
  return components.filter((component) => {
    const { name, kind, place } = component;
    if (typeof name !== "string" || !/^[A-Za-z][A-Za-z0-9_]{0,49}$/.test(name) || name === "App") {
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

/** What `app()` says. */
type AppParts = Omit<
  WantedApp,
  "functions" | "buckets" | "stacks" | "vpcs" | "databases" | "processes" | "secrets" | "outputs"
>;

function readApp(value: unknown, context: Context, notes: Notes): AppParts | undefined {
  const cut = without(value, NOT_CARRIED_OUT.app, "app()", notes);
  const result = appArgs.safeParse(cut);
  if (!result.success) {
    for (const text of sentences(result.error, cut, "app()", keysOf(appArgs))) notes.problem(text, undefined);
    return undefined;
  }
  const { name, home, watch, endpoint, removal, protect, providers } = result.data;
  for (const provider of Object.keys(providers)) {
    if (provider !== "aws") notes.warn(`app(): providers.${provider} is not carried out yet`);
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
  };
}

function readFunction(component: RawComponent, notes: Notes): FunctionArgs | undefined {
  const whole = subject(component);
  let args = without(component.args, NOT_CARRIED_OUT["aws.Function"], whole, notes);
  if (isObject(args)) {
    const url = without(args["url"], NOT_CARRIED_OUT["aws.Function url"], whole, notes, "url.");
    const nodejs = bundling(
      without(args["nodejs"], NOT_CARRIED_OUT["aws.Function nodejs"], whole, notes, "nodejs."),
      whole,
      notes,
    );
    const environment = defined(args["environment"], whole, notes);
    args = { ...args, url, nodejs, environment };
  }
  const result = functionArgs.safeParse(args);
  if (result.success) return result.data;
  for (const text of sentences(result.error, args, whole, keysOf(functionArgs)))
    notes.problem(text, component.place);
  return undefined;
}

/** SST's properties that nothing is done with yet, taken out with a warning each. */
function without(value: unknown, names: readonly string[], whole: string, notes: Notes, path = ""): unknown {
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([key, item]) => {
    if (!names.includes(key)) return true;
    if (item !== undefined) notes.warn(`${whole}: ${path}${key} is not carried out yet`);
    return false;
  });
  return Object.fromEntries(kept);
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

/** A variable whose value is undefined is most likely one that is missing from .env. */
function defined(value: unknown, whole: string, notes: Notes): unknown {
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, item]) => {
    if (item !== undefined) return true;
    notes.warn(`${whole}: environment.${name} is undefined and left out`);
    return false;
  });
  return Object.fromEntries(kept);
}

function readLinkable(component: RawComponent, notes: Notes): Linked | undefined {
  const whole = subject(component);
  const result = linkableArgs.safeParse(component.args);
  if (!result.success) {
    for (const text of sentences(result.error, component.args, whole, keysOf(linkableArgs)))
      notes.problem(text, component.place);
    return undefined;
  }
  for (const [name, value] of Object.entries(result.data.properties)) {
    const odd = unfit(value);
    if (odd !== undefined)
      notes.problem(`${whole}: properties.${name} is ${odd}; Resource gives plain data`, component.place);
  }
  const permissions = result.data.include.flatMap((item, index) => {
    if (!isObject(item) || item["type"] !== "aws.permission") {
      notes.warn(`${whole}: include.${index} is not carried out yet`);
      return [];
    }
    const read = includedPermission.safeParse(item);
    if (read.success) return [read.data];
    for (const text of sentences(read.error, item, `${whole}, include.${index}`, () => []))
      notes.problem(text, component.place);
    return [];
  });
  return { properties: result.data.properties, permissions };
}

/** What stands in place of data, however deep. */
function unfit(value: unknown): string | undefined {
  const odd = noData(value);
  if (odd !== undefined) return odd;
  if (isObject(value) && COMPONENT in value) return `the component ${componentName(value[COMPONENT])}`;
  if (typeof value !== "object" || value === null || UNKNOWN in value) return undefined;
  for (const item of Object.values(value)) {
    const within = unfit(item);
    if (within !== undefined) return within;
  }
  return undefined;
}

/** A linked function gives its name, and its URL once that is known; who links it may invoke it. */
function functionLink(
  name: string,
  args: FunctionArgs | undefined,
  app: { name: string; region: string } | undefined,
  context: Context,
): Linked {
  const region = app?.region ?? context.region;
  const partition = region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
  const inAws = args?.name ?? physicalName(app?.name ?? "", context.stage, name);
  return {
    properties: {
      name: inAws,
      ...(args?.url !== undefined && { url: { "livedev:output": [{ ref: `${name}.url` }] } }),
    },
    permissions: [
      {
        effect: "allow",
        actions: ["lambda:InvokeFunction"],
        resources: [`arn:${partition}:lambda:${region}:*:function:${inAws}`],
      },
    ],
  };
}

function wantedFunction(
  component: RawComponent,
  args: FunctionArgs,
  links: ReadonlyMap<string, Linked>,
  notes: Notes,
  app: { name: string } | undefined,
  context: Context,
): WantedFunction {
  const permissions: WantedPermission[] = [...args.permissions];
  const link: WantedLink[] = [{ name: "App", properties: { name: app?.name ?? "", stage: context.stage } }];
  for (const [index, item] of args.link.entries()) {
    const target = isObject(item) && isObject(item[COMPONENT]) ? componentName(item[COMPONENT]) : undefined;
    const linked = target === undefined ? undefined : links.get(target);
    if (target === undefined) {
      notes.problem(
        `${subject(component)}: link.${index} is not a component; link functions and new Linkable("Name", { properties })`,
        component.place,
      );
    } else if (linked !== undefined && !link.some(({ name }) => name === target)) {
      link.push({ name: target, properties: linked.properties });
      permissions.push(...linked.permissions);
    }
  }
  const { name, description, url, banner } = { ...args, banner: args.nodejs.banner };
  const { banner: _, ...nodejs } = args.nodejs;
  return {
    name: String(component.name),
    handler: args.handler,
    runtime: args.runtime,
    architecture: args.architecture,
    timeoutMs: args.timeout,
    memoryMb: args.memory,
    environment: args.environment,
    link,
    nodejs: { ...nodejs, ...(banner !== undefined && { banner }) },
    dev: args.dev && args.live,
    whenAway: args.whenAway,
    retryable: args.retryable,
    permissions,
    tags: args.tags,
    logging: { format: "text", retentionDays: 30 },
    layers: [],
    copyFiles: [],
    ...(name !== undefined && { nameInAws: name }),
    ...(description !== undefined && { description }),
    ...(url !== undefined && { url: { ...url, streaming: args.streaming } }),
  };
}

/** The properties that a schema's object at `path` may have. */
function keysOf(schema: { readonly shape: Readonly<Record<string, unknown>> }) {
  const top = Object.keys(schema.shape);
  const below: Record<string, readonly string[]> = {
    url: ["authorization", "cors"],
    "url.cors": [
      "allowCredentials",
      "allowHeaders",
      "allowMethods",
      "allowOrigins",
      "exposeHeaders",
      "maxAge",
    ],
    nodejs: ["format", "minify", "sourcemap", "splitting", "banner", "loader", "install", "esbuild"],
  };
  return (path: string) =>
    path === ""
      ? top
      : (below[path] ?? (/^permissions\.\d+$/.test(path) ? ["effect", "actions", "resources"] : []));
}

/** For `aws.Bucket is not a constructor`: what there is instead. */
export function unknownComponent(message: string): string | undefined {
  const [, name] =
    /^(?:sst\.)?(?:aws\.)?(\w+) is not a constructor$/.exec(message.replaceAll("import_", "")) ?? [];
  if (name === undefined) return undefined;
  const known = ["aws.Function", "Linkable"];
  const meant = nearest(name, ["Function", "Linkable"]);
  return `livedev has no component ${name}${meant === undefined ? "." : `; did you mean ${meant}?`} It has ${known.join(" and ")}; values of other things can be linked by new Linkable("${name}", { properties: { … } })`;
}
