/** Values that properties of several components take, each with the reason of its refusal (schema.ts). */
import { posix } from "node:path";

import * as z from "zod";

import {
  COMPONENT,
  OUTPUT,
  type Text,
  type Texts,
  type WantedOutput,
  type WantedPlacement,
} from "../../proto/app.ts";
import { durationMs } from "./units.ts";

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isOutput(value: unknown): value is WantedOutput {
  return isObject(value) && OUTPUT in value;
}

export const text = (reason: string) => z.string({ error: reason });
export const flag = z.boolean({ error: "write true or false" });
export const texts = z.array(text("write a string"), { error: 'write a list of strings, ["…"]' });

export function parsed<T>(reason: string, parse: (value: string) => T | undefined) {
  return text(reason).transform((value, context) => {
    const result = parse(value);
    if (result !== undefined) return result;
    context.addIssue({ code: "custom", message: reason });
    return z.NEVER;
  });
}

export const within = <T extends number>(value: T | undefined, least: number, most: number) =>
  value !== undefined && value >= least && value <= most && Number.isInteger(value) ? value : undefined;

export function count(least: number, most: number) {
  const error = `write a whole number from ${least} to ${most}`;
  return z.number({ error }).refine((value) => within(value, least, most) !== undefined, { error });
}

/** A reason for a value of the wrong kind; unknown keys have a sentence of their own. */
export function notThis(reason: string) {
  return (issue: { code: string }) => (issue.code === "invalid_type" ? reason : undefined);
}

/** Text, or an output that will be. */
export function anyText(reason: string) {
  return z.custom<Text>((value) => typeof value === "string" || isOutput(value), { error: reason });
}

/** A list of texts, each known or not, or an output that will be a list. */
export function anyTexts(reason: string) {
  return z.custom<Texts>(
    (value) =>
      isOutput(value) ||
      (Array.isArray(value) && value.every((item) => typeof item === "string" || isOutput(item))),
    { error: reason },
  );
}

export const tags = z
  .record(z.string(), text("write a string"), { error: 'write it as { name: "value" }' })
  .default({});

/** Relative to the project, without `./` and the last `/`; `.` is the project itself. */
export function path(example: string) {
  return parsed(`write a path that is relative to livedev.config.ts, "${example}"`, (value) => {
    if (value === "" || posix.isAbsolute(value)) return undefined;
    const normal = posix.normalize(value);
    return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
  });
}

/** Seconds. */
export const maxAge = parsed('write it as "1 hour", up to "1 day"', (value) =>
  within((durationMs(value) ?? -1) / 1000, 0, 86_400),
);

/** A Vpc component, whose parts are known once it stands, or ids. */
export function placement(options: {
  readonly securityGroups: "needed" | "optional";
  readonly example: string;
}) {
  const ids = anyTexts('write a list of ids, ["subnet-…"]');
  return z.preprocess(
    ofComponent,
    z
      .strictObject(
        {
          privateSubnets: ids.optional(),
          subnets: ids.optional(),
          publicSubnets: z.unknown().optional(),
          id: z.unknown().optional(),
          securityGroups:
            options.securityGroups === "needed"
              ? anyTexts('write a list of ids, ["sg-…"]')
              : anyTexts('write a list of ids, ["sg-…"]').default([]),
        },
        { error: notThis(`write a Vpc component, or ${options.example}`) },
      )
      .transform(({ privateSubnets, subnets, securityGroups }, context): WantedPlacement => {
        const given = privateSubnets ?? subnets;
        if (given !== undefined && (!Array.isArray(given) || given.length > 0))
          return { subnets: given, securityGroups };
        context.addIssue({ code: "custom", message: `it has no subnets: write ${options.example}` });
        return z.NEVER;
      }),
  );
}

function ofComponent(value: unknown): unknown {
  const component = isObject(value) ? value[COMPONENT] : undefined;
  if (!isObject(component) || component["kind"] !== "aws.Vpc") return value;
  const name = String(component["name"]);
  return {
    privateSubnets: reference(name, "privateSubnets"),
    securityGroups: reference(name, "securityGroups"),
  };
}

export function reference(component: string, path: string): WantedOutput {
  return { [OUTPUT]: [{ ref: `${component}.${path}` }] };
}

/** Texts, one after the other; an output where one of them is. */
export function joined(...values: readonly Text[]): Text {
  const parts = values.flatMap((value) => (typeof value === "string" ? [value] : value[OUTPUT]));
  return parts.every((part) => typeof part === "string") ? parts.join("") : { [OUTPUT]: parts };
}

/** What is `undefined` is not there. */
export function given<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as never;
}
