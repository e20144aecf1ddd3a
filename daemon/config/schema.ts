/**
 * What `app()` may say, with the reason of each refusal: it completes the sentence "<property> is <value>; …". The
 * components' schemas stand in a file for each. Names and properties follow SST's; each schema gives the wanted form.
 */
import * as z from "zod";

import { flag, notThis, text } from "./values.ts";
import { bastion } from "./bastion.ts";
import { url } from "./url.ts";

const providerAws = z.looseObject({
  region: text("write a region's name").optional(),
  profile: text("write a profile's name").optional(),
});

export const appArgs = z.strictObject(
  {
    name: text("write letters, digits and dashes").regex(/^[A-Za-z][A-Za-z0-9-]{0,39}$/, {
      error: "write letters, digits and dashes, at most 40, the first a letter",
    }),
    home: z.enum(["local", "aws"]),
    watch: z.array(text("write a folder"), { error: 'write a list of folders, ["src"]' }).default(["."]),
    region: text("write a region's name, us-east-1").optional(),
    profile: text("write a profile's name").optional(),
    endpoint: z.url({ error: 'write a URL, "http://localhost:4566"' }).optional(),
    removal: z.enum(["remove", "retain", "retain-all"]).default("retain"),
    protect: flag.default(false),
    bastion,
    url,
    providers: z.looseObject({ aws: z.union([flag, z.string(), providerAws]).optional() }).default({}),
  },
  { error: notThis('write { name: "my-app", home: "local" }') },
);

/** SST's properties that are accepted, with a warning. */
export const APP_NOT_CARRIED_OUT = ["version", "backend"];
