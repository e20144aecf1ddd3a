/** zod's issues as sentences that name file, line, component and property. */
import type { z } from "zod";

import { COMPONENT, OUTPUT, type WantedOutput } from "../../proto/app.ts";
import { nearest } from "./did-you-mean.ts";
import type { Place } from "./messages.ts";
import { noData } from "./plain.ts";
import { isObject } from "./schema.ts";

export type Problem = { readonly text: string; readonly place: Place | undefined };

/** `file:line: ` where both are known. */
export function prefix(place: Partial<Place> | undefined): string {
  if (place?.file === undefined) return "";
  return place.line === undefined ? `${place.file}: ` : `${place.file}:${place.line}: `;
}

/** Values that may be secrets are described, never shown. */
const HIDDEN = new Set(["environment", "properties"]);

/** `subject`: the component, `aws.Function "MyApi"`. `keys`: the property names that the object at a path may have. */
export function sentences(
  error: z.ZodError,
  value: unknown,
  subject: string,
  keys: (path: string) => readonly string[],
): string[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map(String);
    const name = path.length === 0 ? "its properties" : path.join(".");
    const found = path.reduce<unknown>(
      (at, key) => (isObject(at) || Array.isArray(at) ? (at as Record<string, unknown>)[key] : undefined),
      value,
    );
    const shown = show(found, HIDDEN.has(path[0] ?? ""));
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => {
        const meant = nearest(key, keys(path.join(".")));
        const whole = [...path, key].join(".");
        return `${subject}: there is no property ${whole}${meant === undefined ? "" : `; did you mean ${meant}?`}`;
      });
    }
    if (issue.code === "invalid_key") {
      return [`${subject}: ${name} ${issue.issues[0]?.message ?? "is no valid name"}`];
    }
    if (issue.code === "invalid_value" && noData(found) === undefined && outputIn(found) === undefined) {
      const choices = issue.values.map(String);
      const meant = typeof found === "string" ? nearest(found, choices) : undefined;
      const hint = meant === undefined ? "" : `; did you mean "${meant}"?`;
      return [
        `${subject}: ${name} ${shown}; write one of ${choices.map((choice) => `"${choice}"`).join(", ")}${hint}`,
      ];
    }
    return [`${subject}: ${name} ${shown}; ${outputIn(found) ?? issue.message}`];
  });
}

/** The predicate of a sentence: `is "20 parsecs"`, `is missing`. */
function show(value: unknown, hidden: boolean): string {
  const odd = noData(value);
  if (odd !== undefined) return `is ${odd}`;
  if (value === undefined) return "is missing";
  const output = outputIn(value);
  if (output !== undefined) return `is an output`;
  if (isObject(value) && COMPONENT in value) return `is the component ${componentName(value[COMPONENT])}`;
  if (hidden) return `is a ${Array.isArray(value) ? "list" : typeof value}`;
  const text = JSON.stringify(value);
  return `is ${text.length > 80 ? `${text.slice(0, 77)}…` : text}`;
}

function outputIn(value: unknown): string | undefined {
  if (!isObject(value) || !(OUTPUT in value)) return undefined;
  const refs = (value as WantedOutput)[OUTPUT].flatMap((part) =>
    typeof part === "string" ? [] : [part.ref],
  );
  const [first = "it"] = refs;
  const [component = first] = first.split(".");
  return `${refs.join(", ")} is known only once the app is deployed: write link: [the component "${component}"] and read Resource.${first} in the function's code`;
}

export function componentName(value: unknown): string {
  return isObject(value) ? String(value["name"]) : String(value);
}
