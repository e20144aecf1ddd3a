import * as z from "zod";

import type { WantedNat, WantedVpc } from "../../proto/app.ts";
import { parse, subject, without, type Read } from "./reading.ts";
import { anyText, count, flag, given, isObject, notThis, reference, text } from "./values.ts";

const nat = z.preprocess(
  (value) => {
    if (typeof value === "string") return { type: value };
    // SST takes the kind from what is said of it.
    return isObject(value) && value["type"] === undefined
      ? { ...value, type: value["ec2"] === undefined ? "managed" : "ec2" }
      : value;
  },
  z
    .strictObject(
      {
        type: z.enum(["managed", "ec2"]),
        ip: z
          .array(anyText('write an allocation id, "eipalloc-…"'), { error: 'write a list, ["eipalloc-…"]' })
          .optional(),
        ec2: z
          .strictObject(
            {
              instance: text('write a type of EC2\'s, "t4g.nano"').default("t4g.nano"),
              ami: anyText('write an image\'s id, "ami-…"').optional(),
            },
            { error: notThis("write { instance, ami }") },
          )
          .prefault({}),
      },
      { error: notThis('write "managed" or "ec2"') },
    )
    .transform(({ type, ip, ec2 }): WantedNat =>
      type === "managed" ? given({ type, ip }) : given({ type, ip, ...ec2 }),
    )
    .optional(),
);

const existing = z.strictObject({
  id: anyText('write an id, "vpc-…"').optional(),
  tags: z
    .record(z.string(), text("write a string"), { error: 'write it as { Name: "value" }' })
    .refine((value) => Object.keys(value).length > 0, { error: 'write at least one, { Name: "value" }' })
    .optional(),
});

const schema = z.strictObject(
  {
    az: count(1, 3).default(2),
    nat,
    bastion: z.preprocess((value) => (isObject(value) ? true : value), flag.default(false)),
    /** Of `Vpc.get`. */
    existing: existing.optional(),
  },
  { error: notThis('write { nat: "ec2", bastion: true }') },
);

export const readVpc: Read = (component, _, notes) => {
  const name = String(component.name);
  const value = without(component.args ?? {}, ["transform"], subject(component), notes.warn);
  const lists = ["publicSubnets", "privateSubnets", "securityGroups"];
  const linked = {
    properties: Object.fromEntries(["id", ...lists].map((path) => [path, reference(name, path)])),
    permissions: [],
  };
  const args = parse(schema, value, component, notes);
  if (args === undefined) return { linked };
  const { id, tags } = args.existing ?? {};
  const wanted: WantedVpc =
    id !== undefined
      ? { name, is: "existing", id }
      : tags !== undefined
        ? { name, is: "tagged", tags }
        : { name, is: "new", az: args.az, bastion: args.bastion, ...given({ nat: args.nat }) };
  return {
    linked,
    ...(id !== undefined && { known: { id } }),
    add: ({ vpcs }) => {
      vpcs.push(wanted);
    },
  };
};
