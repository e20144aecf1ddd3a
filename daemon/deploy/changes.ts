/** How a function stands, and what of it differs from what is wanted: for people, and to find drift. Pure. */
import { LINKS_KEY } from "./links.ts";
import type { WantedLambda } from "./stubs.ts";

export type LambdaFacts = Pick<
  WantedLambda,
  | "handler"
  | "runtime"
  | "architecture"
  | "description"
  | "timeoutSeconds"
  | "memoryMb"
  | "environment"
  | "layers"
> & {
  readonly codeSha256: string;
};

/** `from` and `to` are shown to people: values of variables are not among them. */
export type Change = { readonly what: string; readonly from?: string; readonly to?: string };

const SHOWN = ["handler", "runtime", "architecture", "description", "timeoutSeconds", "memoryMb"] as const;

export function changes(wanted: WantedLambda, standing: LambdaFacts | undefined): Change[] {
  if (standing === undefined) return [];
  const found: Change[] = [];
  for (const what of SHOWN) {
    const [from, to] = [String(standing[what]), String(wanted[what])];
    if (from !== to) found.push({ what, from, to });
  }
  if (wanted.layers.join() !== standing.layers.join()) {
    found.push({ what: "layers", from: standing.layers.join(", "), to: wanted.layers.join(", ") });
  }
  found.push(...ofVariables(wanted, standing));
  if (wanted.code.is === "release" && wanted.code.sha256 !== standing.codeSha256)
    found.push({ what: "code" });
  return found;
}

function ofVariables(wanted: WantedLambda, standing: LambdaFacts): Change[] {
  // What the deployed code had stays with a stub that carries it.
  const names = new Set([
    ...Object.keys(wanted.environment),
    ...(wanted.code.is === "stub" ? [] : Object.keys(standing.environment)),
  ]);
  return [...names].sort().flatMap((name): Change[] => {
    const [from, to] = [standing.environment[name], wanted.environment[name]];
    if (from === to) return [];
    if (name === LINKS_KEY && from !== undefined && to !== undefined)
      return [{ what: "links", to: "changed" }];
    const how = from === undefined ? "added" : to === undefined ? "removed" : "changed";
    return [{ what: `environment ${name}`, to: how }];
  });
}
