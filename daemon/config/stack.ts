import * as z from "zod";

import { COMPONENT, type Text, type Texts, type WantedTemplate } from "../../proto/app.ts";
import type { RawComponent } from "./messages.ts";
import { noData } from "./plain.ts";
import { parse, subject, type Context, type Notes, type Read } from "./reading.ts";
import { isObject, isOutput, notThis, reference, tags } from "./values.ts";

const CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"] as const;

const template = z.custom<string | Record<string, unknown>>(
  (value) =>
    (typeof value === "string" && value !== "") ||
    (isObject(value) && !isOutput(value) && isObject(value["Resources"])),
  { error: 'write a file, "infra/queue.yml", or the template itself, { Resources: { … } }' },
);

const parameter = z.preprocess(
  (value) => (typeof value === "number" ? String(value) : value),
  z.custom<Text | Texts>(
    (value) =>
      typeof value === "string" ||
      isOutput(value) ||
      (Array.isArray(value) && value.every((item) => typeof item === "string" || isOutput(item))),
    { error: "write a string, a number, a list of strings, or an output (api.arn)" },
  ),
);

const schema = z.strictObject(
  {
    template,
    parameters: z
      .record(z.string().regex(/^[A-Za-z0-9]{1,255}$/, { error: "must be letters and digits" }), parameter, {
        error: "write it as { Name: value }",
      })
      .default({}),
    capabilities: z
      .array(z.enum(CAPABILITIES), { error: 'write a list, ["CAPABILITY_NAMED_IAM"]' })
      .default(["CAPABILITY_IAM"]),
    tags,
  },
  { error: notThis('write { template: "infra/queue.yml" }') },
);

/** The file that a stack's template is in, where it is one. */
export function templateFile({ kind, args }: RawComponent): string | undefined {
  const file = kind === "aws.Stack" && isObject(args) ? args["template"] : undefined;
  return typeof file === "string" && file !== "" ? file : undefined;
}

export const readStack: Read = (component, context, notes) => {
  const name = String(component.name);
  const linked = { properties: { outputs: reference(name, "outputs") }, permissions: [] };
  const args = parse(schema, component.args, component, notes);
  if (args === undefined) return { linked };
  const wanted = readTemplate(args.template, component, context, notes);
  if (wanted === undefined) return { linked };
  return {
    linked,
    add: ({ stacks }) => {
      stacks.push({
        name,
        template: wanted,
        parameters: args.parameters,
        capabilities: args.capabilities,
        tags: args.tags,
      });
    },
  };
};

function readTemplate(
  value: string | Record<string, unknown>,
  component: RawComponent,
  { files }: Context,
  notes: Notes,
): WantedTemplate | undefined {
  if (typeof value === "string") {
    const text = files.get(value);
    if (text !== undefined) return { file: value, text };
    notes.problem(
      `${subject(component)}: template is "${value}", a file that cannot be read; write its path relative to livedev.config.ts`,
      component.place,
    );
    return undefined;
  }
  const odd = unfit(value, []);
  if (odd === undefined) return { body: value };
  notes.problem(
    `${subject(component)}: template.${odd.path.join(".")} is ${odd.what}; a template is plain data and outputs`,
    component.place,
  );
  return undefined;
}

function unfit(
  value: unknown,
  path: readonly string[],
): { readonly what: string; readonly path: readonly string[] } | undefined {
  const what = noData(value);
  if (what !== undefined) return { what, path };
  if (typeof value !== "object" || value === null || isOutput(value)) return undefined;
  if (COMPONENT in value) return { what: "a component (write one of its outputs)", path };
  for (const [key, item] of Object.entries(value)) {
    const odd = unfit(item, [...path, key]);
    if (odd !== undefined) return odd;
  }
  return undefined;
}
