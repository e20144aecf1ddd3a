/**
 * The state and its file. A change is made on a copy, written beside the old file and renamed over it; only then is
 * it the state and the caller is answered. So what the cloud acknowledged survives a kill, and a change that fails
 * changes nothing. Changes that come while a file is being written share the next one: the disk is waited for once.
 */
import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";

import { codeOf, type LivedevError } from "../lib/errors.ts";
import { cloudStateNewer } from "../lib/errors.ts";
import { newState, type CloudState } from "./state.ts";

type Change = {
  /** On a copy of its own; gives what settles the caller once the state is on disk. */
  readonly make: (draft: CloudState) => () => void;
  readonly fail: (error: unknown) => void;
};

export class StateFile {
  readonly #file: string;
  #state: CloudState;
  #asked: Change[] = [];
  #writing: Promise<void> | undefined;

  private constructor(file: string, state: CloudState) {
    this.#file = file;
    this.#state = state;
  }

  /** A broken file is moved aside, and `onBroken` told where to. Throws a LivedevError for one of a newer version. */
  static async open(options: {
    stateDir: string;
    region: string;
    onBroken: (movedTo: string) => void;
  }): Promise<StateFile> {
    const file = join(options.stateDir, "cloud.json");
    const known = await read(file, options.onBroken);
    const states = new StateFile(file, known ?? newState(options.region));
    if (known === undefined) await write(file, states.#state);
    return states;
  }

  /** Never changed in place. */
  get state(): Readonly<CloudState> {
    return this.#state;
  }

  /** One change at a time, in the order of the calls. What `change` throws is thrown here, and nothing has changed. */
  update<T>(change: (draft: CloudState) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const make = (draft: CloudState) => {
        const result = change(draft);
        return () => resolve(result);
      };
      this.#asked.push({ make, fail: reject });
      this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
    });
  }

  /** Everything asked for so far is on disk, or failed. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#asked.length > 0) {
      const changes = this.#asked;
      this.#asked = [];
      let next = this.#state;
      const made: { readonly done: () => void; readonly fail: (error: unknown) => void }[] = [];
      for (const { make, fail } of changes) {
        const draft = structuredClone(next);
        try {
          made.push({ done: make(draft), fail });
          next = draft;
        } catch (error) {
          // Told with the others: what it was refused for may be a change that is not on disk yet.
          made.push({ done: () => fail(error), fail });
        }
      }
      try {
        if (next !== this.#state) await write(this.#file, next);
        this.#state = next;
        for (const { done } of made) done();
      } catch (error) {
        for (const { fail } of made) fail(error);
      }
    }
  }
}

async function write(file: string, state: CloudState): Promise<void> {
  const fresh = `${file}.new`;
  const handle = await open(fresh, "w", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(state, null, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, file);
}

async function read(file: string, onBroken: (movedTo: string) => void): Promise<CloudState | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const state = parse(text);
  if (state !== undefined && state.version > 1) throw cloudStateNewer(file) satisfies LivedevError;
  if (state !== undefined && isComplete(state)) return state;
  const movedTo = `${file}.broken-${Date.now()}`;
  await rename(file, movedTo);
  onBroken(movedTo);
  return undefined;
}

function parse(text: string): CloudState | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as CloudState) : undefined;
  } catch {
    return undefined;
  }
}

function isComplete(state: Partial<CloudState>): boolean {
  const texts = [state.region, state.accountId, state.accessKeyId, state.secretAccessKey, state.sessionKey];
  const maps = [state.roles, state.functions];
  return (
    state.version === 1 &&
    typeof state.port === "number" &&
    texts.every((text) => typeof text === "string") &&
    maps.every((map) => typeof map === "object" && map !== null)
  );
}
