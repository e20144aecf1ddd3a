/** The functions as they run: what their links and outputs come to, as far as the stage stands. Pure. */
import { resolveOutputs, type ResolvedFunction, type WantedApp } from "../proto/app.ts";

type Deployed = Readonly<Record<string, { readonly functionArn: string; readonly url?: string }>>;

export function linked(
  app: WantedApp,
  deployed: Deployed,
  outputs: Readonly<Record<string, unknown>> = {},
): ResolvedFunction[] {
  const lookup = (ref: string): unknown => {
    if (outputs[ref] !== undefined) return outputs[ref];
    const [component = "", property = ""] = ref.split(".");
    if (property === "url") return deployed[component]?.url;
    return property === "arn" ? deployed[component]?.functionArn : undefined;
  };
  return app.functions.map((wanted) => ({
    ...wanted,
    environment: known(wanted.environment, lookup),
    link: wanted.link.map((link) => ({
      ...link,
      properties: resolveOutputs(link.properties, lookup) as Record<string, unknown>,
    })),
  }));
}

/** A variable that is not known yet is left out: code asks whether it is there, and "null" is not what it expects. */
function known(
  environment: WantedApp["functions"][number]["environment"],
  lookup: (ref: string) => unknown,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => {
      const text = resolveOutputs(value, lookup);
      if (text === null) return [];
      return [[name, typeof text === "string" ? text : JSON.stringify(text)]];
    }),
  );
}
