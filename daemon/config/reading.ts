/** What the kinds of components have in common: how each is read (a file per kind), and what it hands over. */
import type * as z from "zod";

import { COMPONENT, type WantedApp, type WantedLink, type WantedPermission } from "../../proto/app.ts";
import type { Place, RawComponent } from "./messages.ts";
import { componentName, outputName, sentences } from "./problems.ts";
import { isObject } from "./values.ts";

/** What `app()` says. */
export type AppParts = Omit<WantedApp, keyof Parts | "linkable" | "outputs">;

/** The lists of the wanted app, while they are filled. */
export type Parts = {
  [
    List in "functions" | "buckets" | "stacks" | "vpcs" | "databases" | "processes" | "secrets"
  ]: WantedApp[List][number][];
};

export type Context = {
  /** Undefined where it was refused: components are read all the same, for their own mistakes. */
  readonly app: AppParts | undefined;
  readonly stage: string;
  readonly region: string;
  /** For `livedev dev`, as opposed to a deployment. */
  readonly dev: boolean;
  /** Files that components name, by the name that they give. */
  readonly files: ReadonlyMap<string, string>;
};

export type Notes = {
  readonly problem: (text: string, place: Place | undefined) => void;
  readonly warn: (text: string) => void;
};

/** What a link to it gives: values for `Resource`, and what the code may do. */
export type Linked = {
  readonly properties: Readonly<Record<string, unknown>>;
  readonly permissions: readonly WantedPermission[];
};

export type Reading = {
  /** Also of a component that was refused, so that one mistake gives one error. Absent: it cannot be linked. */
  readonly linked?: Linked;
  /** Of its outputs, those that the config decides: filled in wherever they are used. */
  readonly known?: Readonly<Record<string, unknown>>;
  /** Once every component has been read: adds it to the app. Absent where it was refused. */
  readonly add?: (parts: Parts, links: Links) => void;
};

export type Read = (component: RawComponent, context: Context, notes: Notes) => Reading;

/** By component; null for one that cannot be linked. */
export type Links = ReadonlyMap<string, Linked | null>;

export const subject = (component: RawComponent) => `${component.kind} "${String(component.name)}"`;

/** The properties in their wanted form; undefined where they were refused, which is noted. */
export function parse<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  component: RawComponent,
  notes: Notes,
): z.output<Schema> | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const text of sentences(result.error, value, subject(component), schema))
    notes.problem(text, component.place);
  return undefined;
}

/** SST's properties that nothing is done with yet, taken out with a warning each. */
export function without(
  value: unknown,
  names: readonly string[],
  whole: string,
  warn: (text: string) => void,
  path = "",
): unknown {
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([key, item]) => {
    if (!names.includes(key)) return true;
    if (item !== undefined) warn(`${whole}: ${path}${key} is not carried out yet`);
    return false;
  });
  return Object.fromEntries(kept);
}

/** The app itself, then each component once, in the order of the config. */
export function follow(
  link: readonly unknown[],
  links: Links,
  component: RawComponent,
  context: Context,
  notes: Notes,
): { readonly link: readonly WantedLink[]; readonly permissions: readonly WantedPermission[] } {
  const found: WantedLink[] = [
    { name: "App", properties: { name: context.app?.name ?? "", stage: context.stage } },
  ];
  const permissions: WantedPermission[] = [];
  for (const [index, item] of link.entries()) {
    const target = isObject(item) && isObject(item[COMPONENT]) ? componentName(item[COMPONENT]) : undefined;
    const linked = target === undefined ? undefined : links.get(target);
    if (target === undefined) {
      const output = outputName(item);
      notes.problem(
        output === undefined
          ? `${subject(component)}: link.${index} is not a component; link components and new Linkable("Name", { properties })`
          : `${subject(component)}: link.${index} is the output ${output}; link its component, or new Linkable("Name", { properties: { … } }) with it`,
        component.place,
      );
    } else if (linked === null) {
      notes.problem(
        `${subject(component)}: link.${index} is ${target}, which has nothing to link`,
        component.place,
      );
    } else if (linked !== undefined && !found.some(({ name }) => name === target)) {
      found.push({ name: target, properties: linked.properties });
      permissions.push(...linked.permissions);
    }
  }
  return { link: found, permissions };
}

/** A variable whose value is undefined is most likely one that is missing from .env. */
export function environmentOf(value: unknown, whole: string, notes: Notes): unknown {
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([name, item]) => {
    if (item !== undefined) return true;
    notes.warn(`${whole}: environment.${name} is undefined and left out`);
    return false;
  });
  return Object.fromEntries(kept);
}

export function partition(region: string): string {
  return region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}
