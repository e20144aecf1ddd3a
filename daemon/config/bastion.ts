/** `bastion` of app(): the way of stubs to this machine, and of local code into the VPC. */
import { isIPv4 } from "node:net";

import * as z from "zod";

import type { WantedBastion } from "../../proto/app.ts";
import { count, given, notThis, text } from "./values.ts";

const port = count(1, 65_535);

/** Of this machine, or of one link: no VPC has these. */
const NO_VPC = /^(?:0|127|169\.254|2(?:2[4-9]|[3-5]\d))\./;

const range = text('write a range, "10.0.0.0/16"').refine(
  (value) => {
    const [, address = "", bits = ""] = /^([\d.]+)\/(\d{1,2})$/.exec(value) ?? [];
    return isIPv4(address) && Number(bits) >= 8 && Number(bits) <= 32 && !NO_VPC.test(address);
  },
  { error: 'write a range of the VPC, "10.0.0.0/16"' },
);

const name = text('write a name, "*.internal"').regex(/^(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/, {
  error: 'write a name, "*.internal" or "db.example.com"',
});

const ports = z
  .union([port, z.tuple([port, port])], { error: "write a port, or the first and the last: [7400, 7499]" })
  .transform((value): readonly [number, number] => (typeof value === "number" ? [value, value] : value))
  .refine(([first, last]) => last >= first && last - first < 1_000, {
    error: "write the first and the last, at most 1,000 ports: [7400, 7499]",
  })
  .default([7400, 7499]);

export const bastion = z
  .strictObject(
    {
      host: text("write a host's name or address").min(1, { error: "write a host's name or address" }),
      port: port.optional(),
      user: text("write a user's name").optional(),
      key: text("write a file").optional(),
      agent: z.union([z.boolean(), z.string()], { error: "write true, or an agent's socket" }).optional(),
      ranges: z.array(range, { error: 'write a list of ranges, ["10.0.0.0/16"]' }).default([]),
      names: z.array(name, { error: 'write a list of names, ["*.internal"]' }).default([]),
      listen: z
        .strictObject(
          { address: text("write an address of the bastion").optional(), ports },
          { error: notThis("write { address, ports }") },
        )
        .prefault({}),
    },
    { error: notThis('write { host: "bastion.example.com", ranges: ["10.0.0.0/16"] }') },
  )
  .transform(({ listen, host, ranges, names, ...rest }): WantedBastion => {
    const {
      address,
      ports: [first, last],
    } = listen;
    return { host, ranges, names, ...given(rest), listen: { first, last, ...given({ address }) } };
  })
  .optional();
