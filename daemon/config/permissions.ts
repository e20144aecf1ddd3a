import * as z from "zod";

import type { Text, WantedPermission } from "../../proto/app.ts";
import { anyText, notThis, texts } from "./values.ts";

export const permission = z
  .strictObject(
    {
      type: z.literal("aws.permission").optional(),
      effect: z.enum(["allow", "deny"]).default("allow"),
      actions: texts,
      resources: z.array(anyText("write an ARN"), { error: 'write a list of strings, ["…"]' }),
    },
    { error: notThis('write { actions: ["s3:GetObject"], resources: ["arn:…"] }') },
  )
  .transform(({ effect, actions, resources }) => ({ effect, actions, resources }));

export const permissions = z
  .array(permission, { error: "write a list, [{ actions, resources }]" })
  .default([]);

export function allow(actions: readonly string[], resources: readonly Text[]): WantedPermission {
  return { effect: "allow", actions, resources };
}
