/** What of a bucket or a stack is not as it was deployed: for people, and to find drift. Pure. */
import type { Change } from "./changes.ts";
import type { BucketFacts, DeployedThing, StackFacts, WantedThing } from "./things.ts";

export function thingChanges(wanted: WantedThing, standing: DeployedThing["facts"]): Change[] {
  if (standing === undefined) return [];
  if (wanted.is === "bucket") return standing.is === "bucket" ? ofBucket(wanted, standing) : [];
  return standing.is === "stack" ? ofStack(wanted, standing) : [];
}

function ofBucket({ bucket }: Extract<WantedThing, { is: "bucket" }>, standing: BucketFacts): Change[] {
  const wanted: Required<Omit<BucketFacts, "is">> = {
    versioning: bucket.versioning,
    closed: bucket.access !== "public",
    enforceHttps: bucket.enforceHttps,
    cors: bucket.cors !== undefined,
    lifecycleRules: bucket.lifecycle.length,
  };
  return (Object.keys(wanted) as (keyof typeof wanted)[]).flatMap((what) =>
    standing[what] === undefined || wanted[what] === standing[what]
      ? []
      : [{ what, from: String(standing[what]), to: String(wanted[what]) }],
  );
}

/** A parameter's value may be a secret that its template does not call one: by name alone. */
function ofStack({ template, parameters }: Extract<WantedThing, { is: "stack" }>, standing: StackFacts) {
  const changed: Change[] = Object.entries(parameters)
    .filter(([name, value]) => name in standing.parameters && standing.parameters[name] !== value)
    .map(([name]) => ({ what: `parameter ${name}`, to: "changed" }));
  if (!sameTemplate(template, standing.template)) changed.unshift({ what: "template" });
  for (const { name, type, properties = [] } of standing.drift?.drifted ?? []) {
    if (properties.length === 0) changed.push({ what: `${name} (${type})`, to: "deleted" });
    changed.push(...properties.map((path) => ({ what: `${name}${path}`, to: "changed" })));
  }
  return changed;
}

function sameTemplate(one: string, other: string): boolean {
  if (one.trim() === other.trim()) return true;
  try {
    return JSON.stringify(JSON.parse(one)) === JSON.stringify(JSON.parse(other));
  } catch {
    return false;
  }
}
