/** The last of what a terminal was given, by place: how many characters came before. Bounded; the oldest leaves. */
const MAX_CHARACTERS = 512 * 1024;

export type Read = {
  readonly text: string;
  /** Where to read on. */
  readonly cursor: number;
  /** What stood between the place that was asked for and this text is gone: the screen says how it stands now. */
  readonly gap: boolean;
};

export class Ring {
  readonly #parts: string[] = [];
  #length = 0;
  #end = 0;

  /** All that ever came. */
  get end(): number {
    return this.#end;
  }

  push(text: string): void {
    this.#parts.push(text);
    this.#length += text.length;
    this.#end += text.length;
    while (this.#length > MAX_CHARACTERS && this.#parts.length > 1) {
      this.#length -= this.#parts.shift()!.length;
    }
  }

  /** Whoever read before has a gap now. */
  clear(): void {
    this.#parts.length = 0;
    this.#length = 0;
    this.#end += 1;
  }

  after(place: number): Read {
    const begin = this.#end - this.#length;
    // A place ahead of us is another daemon's.
    const gap = place < begin || place > this.#end;
    const from = gap ? begin : place;
    let at = begin;
    const parts: string[] = [];
    for (const part of this.#parts) {
      if (at + part.length > from) parts.push(at >= from ? part : part.slice(from - at));
      at += part.length;
    }
    return { text: parts.join(""), cursor: this.#end, gap };
  }
}
