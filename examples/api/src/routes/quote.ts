import { findBook } from "@lib/catalogue.ts";
import { json, readJson, type HttpEvent, type HttpResult } from "@lib/http.ts";
import { price } from "@lib/money.ts";
import { z } from "zod";

const Order = z.object({
  lines: z.array(z.object({ id: z.string(), count: z.int().min(1).max(100) })).min(1),
});

/** `POST /quote` with `{ "lines": [{ "id": "walden", "count": 2 }] }` */
export function quote(event: HttpEvent): HttpResult {
  const order = Order.safeParse(readJson(event));
  if (!order.success) return json(400, { message: z.prettifyError(order.error) });

  let total = 0;
  for (const line of order.data.lines) {
    const book = findBook(line.id);
    if (book === undefined) return json(400, { message: `There is no book ${line.id}.` });
    total += book.cents * line.count;
  }
  return json(200, { lines: order.data.lines, total: price(total) });
}
