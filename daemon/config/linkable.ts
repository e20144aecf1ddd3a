import * as z from "zod";

import { COMPONENT, UNKNOWN } from "../../proto/app.ts";
import { permission } from "./permissions.ts";
import { noData } from "./plain.ts";
import { componentName, sentences } from "./problems.ts";
import { parse, subject, type Read } from "./reading.ts";
import { isObject, notThis } from "./values.ts";

const schema = z.strictObject(
  {
    properties: z.record(z.string(), z.unknown(), {
      error: "write the values that Resource gives, { bucket: … }",
    }),
    include: z.array(z.unknown(), { error: "write a list, [aws.permission({ … })]" }).default([]),
  },
  { error: notThis("write { properties: { … } }") },
);

export const readLinkable: Read = (component, _, notes) => {
  const whole = subject(component);
  const args = parse(schema, component.args, component, notes);
  if (args === undefined) return { linked: { properties: {}, permissions: [] } };
  for (const [name, value] of Object.entries(args.properties)) {
    const odd = unfit(value);
    if (odd !== undefined)
      notes.problem(`${whole}: properties.${name} is ${odd}; Resource gives plain data`, component.place);
  }
  const permissions = args.include.flatMap((item, index) => {
    if (!isObject(item) || item["type"] !== "aws.permission") {
      notes.warn(`${whole}: include.${index} is not carried out yet`);
      return [];
    }
    const read = permission.safeParse(item);
    if (read.success) return [read.data];
    for (const text of sentences(read.error, item, `${whole}, include.${index}`, permission))
      notes.problem(text, component.place);
    return [];
  });
  return { linked: { properties: args.properties, permissions } };
};

/** What stands in place of data, however deep. */
function unfit(value: unknown): string | undefined {
  const odd = noData(value);
  if (odd !== undefined) return odd;
  if (isObject(value) && COMPONENT in value) return `the component ${componentName(value[COMPONENT])}`;
  if (typeof value !== "object" || value === null || UNKNOWN in value) return undefined;
  for (const item of Object.values(value)) {
    const within = unfit(item);
    if (within !== undefined) return within;
  }
  return undefined;
}
