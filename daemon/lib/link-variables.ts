/** Links as a process finds them in its environment: as SST has them, so that its SDK reads them too. */
import type { WantedLink } from "../../proto/app.ts";

export function linkVariables(
  link: readonly WantedLink[],
  { name, stage }: { readonly name: string; readonly stage: string },
): Record<string, string> {
  const entries = link.map(({ name, properties }) => [`SST_RESOURCE_${name}`, JSON.stringify(properties)]);
  return { ...Object.fromEntries(entries), SST_RESOURCE_App: JSON.stringify({ name, stage }) };
}
