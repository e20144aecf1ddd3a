/**
 * What a function is linked to, in the function's own code: `Resource.MyStorage.bucket`. It ships into Lambda, so it
 * imports Node alone. Values stand where SST has them: in the environment (`SST_RESOURCE_<name>`, JSON) where they
 * may change with a new process, sealed in the package where they were deployed.
 */

import { sealedLinks } from "./sealed.ts";

/** Each link by its name, as the project's `livedev-env.d.ts` says, which livedev writes. */
// oxlint-disable-next-line typescript/no-empty-interface, typescript/no-empty-object-type -- it is filled there
export interface Resources {}

/** Before there is one, anything may be linked. */
// oxlint-disable-next-line typescript/no-explicit-any
type Unwritten = { App: { name: string; stage: string } } & { [name: string]: Record<string, any> };

type Linked = keyof Resources extends never ? Unwritten : Resources;

const PREFIX = "SST_RESOURCE_";

/** Looked up by name, never by an integer, a symbol, or what `await` and JSON probe for. */
const PROBED = new Set([
  "then",
  "toJSON",
  "constructor",
  "prototype",
  "$$typeof",
  "nodeType",
  "asymmetricMatch",
]);

const parsed = new Map<string, { readonly text: string; readonly value: Record<string, unknown> }>();

function environment(): Readonly<Record<string, string | undefined>> {
  return (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};
}

function linked(): string[] {
  const named = Object.keys(environment()).flatMap((key) =>
    key.startsWith(PREFIX) ? [key.slice(PREFIX.length)] : [],
  );
  return [...new Set([...named, ...Object.keys(sealedLinks(environment()))])];
}

const isLinked = (name: string) =>
  environment()[PREFIX + name] !== undefined || Object.hasOwn(sealedLinks(environment()), name);

function read(name: string): Record<string, unknown> {
  const text = environment()[PREFIX + name];
  if (text === undefined) {
    const sealed = sealedLinks(environment());
    if (!Object.hasOwn(sealed, name)) throw missing(name);
    return sealed[name]!;
  }
  const before = parsed.get(name);
  if (before?.text === text) return before.value;
  const value = JSON.parse(text) as Record<string, unknown>;
  if (value["type"] === "sst.sst.Secret" && value["value"] === null) withoutValue(name, value);
  parsed.set(name, { text, value });
  return value;
}

/** Where it is read, not where `Resource` is listed. */
function withoutValue(name: string, secret: Record<string, unknown>): void {
  const get = (): never => {
    const { stage } = JSON.parse(environment()[`${PREFIX}App`] ?? "{}") as { stage?: string };
    throw new Error(
      `Resource.${name}.value: the secret ${name} has no value in stage ${stage}. Set it: \`livedev secret set ${name}\`.`,
    );
  };
  Object.defineProperty(secret, "value", { get, enumerable: true, configurable: true });
}

function missing(name: string): Error {
  const links = linked().filter((link) => link !== "App");
  const { name: to, kind } = component();
  if (to === undefined && links.length === 0 && environment()[`${PREFIX}App`] === undefined) {
    return new Error(
      `Resource.${name} has no value here: this process runs outside livedev. Start it by \`livedev run -- …\`; in functions that livedev runs or has deployed, links are there.`,
    );
  }
  const has = links.length > 0 ? ` It has: ${links.join(", ")}.` : "";
  if (to === undefined) {
    return new Error(
      `Resource.${name}: ${name} is not linked here.${has} In livedev.config.ts, add the component that is named "${name}", or link it to what runs this code.`,
    );
  }
  return new Error(
    `Resource.${name}: ${name} is not linked to ${to}.${has} In livedev.config.ts, give new ${kind}("${to}", { … }) the line\n  link: [${[...links, name].join(", ")}],\nwith the component that is named "${name}".`,
  );
}

/** What runs this code: a function, by its name in AWS without app and stage, or whom livedev says it is run as. */
function component(): { readonly name: string | undefined; readonly kind: string } {
  const { AWS_LAMBDA_FUNCTION_NAME: whole, LIVEDEV_AS: as, LIVEDEV_AS_KIND } = environment();
  const kind = "aws.Function";
  if (as !== undefined) return { name: as, kind: LIVEDEV_AS_KIND ?? kind };
  const app = environment()[`${PREFIX}App`];
  if (whole === undefined || app === undefined) return { name: whole, kind };
  const { name, stage } = JSON.parse(app) as { name?: string; stage?: string };
  const prefix = `${name}-${stage}-`;
  return { name: whole.startsWith(prefix) ? whole.slice(prefix.length) : whole, kind };
}

export const Resource: Linked = /* @__PURE__ */ new Proxy({} as Linked, {
  get: (_, name) => (typeof name === "symbol" || PROBED.has(name) ? undefined : read(name)),
  has: (_, name) => typeof name === "string" && isLinked(name),
  ownKeys: () => linked(),
  getOwnPropertyDescriptor: (_, name) =>
    typeof name === "string" && isLinked(name)
      ? { value: read(name), enumerable: true, configurable: true }
      : undefined,
});
