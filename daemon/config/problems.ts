/** zod's issues as sentences that name file, line, component and property. */
import type * as z from "zod";

import { COMPONENT, references } from "../../proto/app.ts";
import { nearest } from "./did-you-mean.ts";
import type { Place } from "./messages.ts";
import { noData } from "./plain.ts";
import { isObject, isOutput } from "./values.ts";

export type Problem = { readonly text: string; readonly place: Place | undefined };

/** `file:line: ` where both are known. */
export function prefix(place: Partial<Place> | undefined): string {
  if (place?.file === undefined) return "";
  return place.line === undefined ? `${place.file}: ` : `${place.file}:${place.line}: `;
}

/** Values that may be secrets are described, never shown. */
const HIDDEN = new Set(["environment", "properties", "parameters", "password", "placeholder"]);

/** `subject`: the component, `aws.Function "MyApi"`. `schema`: what refused it; its keys are what a typo may have meant. */
export function sentences(error: z.ZodError, value: unknown, subject: string, schema: z.ZodType): string[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map(String);
    const name = path.length === 0 ? "its properties" : path.join(".");
    const found = path.reduce<unknown>(
      (at, key) => (isObject(at) || Array.isArray(at) ? (at as Record<string, unknown>)[key] : undefined),
      value,
    );
    const shown = show(
      found,
      path.some((key) => HIDDEN.has(key)),
    );
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => {
        const meant = nearest(key, keysAt(schema, path));
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
  if (!isOutput(value)) return undefined;
  const refs = references(value).map(({ component, path }) => `${component}.${path}`);
  const [first = "it"] = refs;
  const [component = first] = first.split(".");
  return `${refs.join(", ")} is known only once the app is deployed: write link: [the component "${component}"] and read Resource.${first} in the function's code`;
}

/** `MyApi.url`, where the value is an output. */
export function outputName(value: unknown): string | undefined {
  if (!isOutput(value)) return undefined;
  return references(value)
    .map(({ component, path }) => `${component}.${path}`)
    .join(", ");
}

/** The properties that a schema's object at `path` may have, through whatever is wrapped around it. */
function keysAt(schema: z.core.$ZodType, path: readonly string[]): readonly string[] {
  const def = schema._zod.def as z.core.$ZodTypeDef & Readonly<Record<string, unknown>>;
  const inner = (def["innerType"] ?? def["element"] ?? def["valueType"]) as z.core.$ZodType | undefined;
  if (def.type === "object") {
    const shape = def["shape"] as Readonly<Record<string, z.core.$ZodType>>;
    const [key, ...rest] = path;
    if (key === undefined) return Object.keys(shape);
    const property = shape[key];
    return property === undefined ? [] : keysAt(property, rest);
  }
  if (def.type === "pipe") {
    const [from, to] = [def["in"], def["out"]] as [z.core.$ZodType, z.core.$ZodType];
    return keysAt(from._zod.def.type === "transform" ? to : from, path);
  }
  if (inner === undefined) return [];
  return keysAt(inner, def.type === "array" || def.type === "record" ? path.slice(1) : path);
}

export function componentName(value: unknown): string {
  return isObject(value) ? String(value["name"]) : String(value);
}
