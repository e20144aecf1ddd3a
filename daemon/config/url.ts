/** `url` of app(): an address of the user's own that leads stubs to this machine. */
import * as z from "zod";

import type { WantedUrlWay } from "../../proto/app.ts";
import { count, notThis, text } from "./values.ts";

const FORM = 'write "tls://host:port" or "wss://host/path"';

const address = text(FORM).refine(
  (value) =>
    URL.canParse(value) && (/^tls:\/\/[^/\s@?#]+:\d+$/.test(value) || /^wss:\/\/[^\s@#]+$/.test(value)),
  { error: FORM },
);

export const url = z
  .strictObject(
    { address, port: count(1, 65_535) },
    { error: notThis('write { address: "wss://shop.example.com", port: 7400 }') },
  )
  .transform((value): WantedUrlWay => value)
  .optional();
