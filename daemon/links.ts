/** What links and outputs come to, as far as the stage stands and its secrets are set. Pure. */
import {
  resolveOutputs,
  type ResolvedFunction,
  type Text,
  type WantedApp,
  type WantedLink,
} from "../proto/app.ts";

type Deployed = Readonly<Record<string, { readonly functionArn: string; readonly url?: string }>>;

/** What is known of the stage. */
export type Known = {
  readonly deployed: Deployed;
  /** By reference: what else its components give. */
  readonly outputs?: Readonly<Record<string, unknown>>;
  /** By name; a secret without a value is not among them. */
  readonly secrets?: Readonly<Record<string, string>>;
};

export type Lookup = (ref: string) => unknown;

/** By reference (`MyBucket.name`); undefined: not known yet. */
export function lookupOf(app: WantedApp, { deployed, outputs = {}, secrets = {} }: Known): Lookup {
  const named = new Map(app.secrets.map((secret) => [`${secret.name}.value`, secret]));
  const lookup = (ref: string): unknown => {
    const secret = named.get(ref);
    if (secret !== undefined) {
      const { name, placeholder } = secret;
      return secrets[name] ?? resolveOutputs(placeholder, lookup) ?? undefined;
    }
    if (outputs[ref] !== undefined) return outputs[ref];
    const [component = "", property = ""] = ref.split(".");
    if (property === "url") return deployed[component]?.url;
    return property === "arn" ? deployed[component]?.functionArn : undefined;
  };
  return lookup;
}

/** The functions as they run. */
export function linked(app: WantedApp, lookup: Lookup): ResolvedFunction[] {
  return app.functions.map((wanted) => ({
    ...wanted,
    environment: variables(wanted.environment, lookup),
    link: resolved(wanted.link, lookup),
  }));
}

/** What is not known yet is null in it. */
export function resolved(link: readonly WantedLink[], lookup: Lookup): WantedLink[] {
  return link.map(({ name, properties }) => ({
    name,
    properties: resolveOutputs(properties, lookup) as Record<string, unknown>,
  }));
}

/** A variable that is not known yet is left out: code asks whether it is there, and "null" is not what it expects. */
export function variables(
  environment: Readonly<Record<string, Text>>,
  lookup: Lookup,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => {
      const text = resolveOutputs(value, lookup);
      if (text === null || text === undefined) return [];
      return [[name, typeof text === "string" ? text : JSON.stringify(text)]];
    }),
  );
}
