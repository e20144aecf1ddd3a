import * as z from "zod";

import { parse, type Read } from "./reading.ts";
import { anyText, given, reference } from "./values.ts";

/** As SST has it; by it `Resource` tells a secret without a value from other links that are not known yet. */
const SECRET_TYPE = "sst.sst.Secret";

const schema = z.strictObject({ placeholder: anyText("write a string").optional() });

export const readSecret: Read = (component, _, notes) => {
  const name = String(component.name);
  const linked = { properties: { type: SECRET_TYPE, value: reference(name, "value") }, permissions: [] };
  const args = parse(schema, component.args, component, notes);
  if (args === undefined) return { linked };
  return {
    linked,
    add: ({ secrets }) => {
      secrets.push({ name, ...given({ placeholder: args.placeholder }) });
    },
  };
};
