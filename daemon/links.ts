/** The functions as they run: what their links and outputs come to, as far as the stage stands. Pure. */
import { resolveOutputs, type WantedApp, type WantedFunction } from "../proto/app.ts";

export function linked(
  app: WantedApp,
  deployed: Readonly<Record<string, { readonly url?: string }>>,
): WantedFunction[] {
  const lookup = (ref: string) => {
    const [component = "", property = ""] = ref.split(".");
    return property === "url" ? deployed[component]?.url : undefined;
  };
  return app.functions.map((wanted) => ({
    ...wanted,
    link: wanted.link.map((link) => ({
      ...link,
      properties: resolveOutputs(link.properties, lookup) as Record<string, unknown>,
    })),
  }));
}
