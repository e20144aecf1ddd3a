/** Asks the file system about the inputs in turn: what is left where it cannot tell of changes by itself. */
import { stat } from "node:fs/promises";

const EVERY_MS = 500;
const AT_ONCE = 32;

export class Poll {
  readonly #files: () => Iterable<string>;
  readonly #changed: (path: string) => void;
  #known = new Map<string, string>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: { files: () => Iterable<string>; changed: (path: string) => void }) {
    this.#files = options.files;
    this.#changed = options.changed;
    void this.#round();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #round(): Promise<void> {
    const files = [...this.#files()];
    const found = new Map<string, string>();
    for (let start = 0; start < files.length && !this.#closed; start += AT_ONCE) {
      const some = files.slice(start, start + AT_ONCE);
      const prints = await Promise.all(some.map(fingerprint));
      for (const [index, file] of some.entries()) found.set(file, prints[index] ?? "");
    }
    if (this.#closed) return;
    for (const [file, print] of found) {
      const known = this.#known.get(file);
      if (known !== undefined && known !== print) this.#changed(file);
    }
    this.#known = found;
    this.#timer = setTimeout(() => void this.#round(), EVERY_MS);
  }
}

async function fingerprint(file: string): Promise<string> {
  try {
    const { mtimeMs, ctimeMs, size, ino } = await stat(file);
    return `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
  } catch {
    return "missing";
  }
}
