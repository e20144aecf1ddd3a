import { CATALOGUE, findBook, type Book } from "@lib/catalogue.ts";
import { json, type HttpEvent, type HttpResult } from "@lib/http.ts";
import { price } from "@lib/money.ts";

const shown = ({ cents, ...book }: Book) => ({ ...book, price: price(cents) });

/** `GET /books?author=eliot` */
export function listBooks(event: HttpEvent): HttpResult {
  const author = event.queryStringParameters?.author?.toLowerCase() ?? "";
  return json(200, {
    books: CATALOGUE.filter((book) => book.author.toLowerCase().includes(author)).map(shown),
  });
}

/** `GET /books/walden` */
export function getBook(id: string): HttpResult {
  const book = findBook(id);
  return book === undefined ? json(404, { message: `There is no book ${id}.` }) : json(200, shown(book));
}
