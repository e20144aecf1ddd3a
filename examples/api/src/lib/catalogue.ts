export type Book = {
  readonly id: string;
  readonly title: string;
  readonly author: string;
  readonly cents: number;
};

export const CATALOGUE: readonly Book[] = [
  { id: "middlemarch", title: "Middlemarch", author: "George Eliot", cents: 1450 },
  { id: "walden", title: "Walden", author: "Henry David Thoreau", cents: 990 },
  { id: "frankenstein", title: "Frankenstein", author: "Mary Shelley", cents: 820 },
];

export const findBook = (id: string): Book | undefined => CATALOGUE.find((book) => book.id === id);
