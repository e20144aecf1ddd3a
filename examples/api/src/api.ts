import { json, type HttpEvent, type HttpResult } from "@lib/http.ts";

import { getBook, listBooks } from "./routes/books.ts";
import { quote } from "./routes/quote.ts";

/** The greeting of the shop: change it, save, and ask again. */
const GREETING = "Welcome to the bookshop";

export async function handler(event: HttpEvent): Promise<HttpResult> {
  const { method, path } = event.requestContext.http;
  console.log(`${method} ${path}`);

  const [, first, second] = path.split("/");
  if (method === "GET" && first === "")
    return json(200, { greeting: GREETING, currency: process.env.CURRENCY });
  if (method === "GET" && first === "books" && second === undefined) return listBooks(event);
  if (method === "GET" && first === "books" && second !== undefined) return getBook(second);
  if (method === "POST" && first === "quote") return quote(event);
  return json(404, { message: `There is no ${method} ${path}.` });
}
