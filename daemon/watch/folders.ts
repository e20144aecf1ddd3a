/**
 * The daemon's end of the watching thread. A thread that died is replaced once, after a moment; one that dies again
 * is not.
 */
import { Worker } from "node:worker_threads";

import type { Log } from "../lib/log.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import type { FromThread, ToThread, WantedFolders } from "./thread.ts";

export type FoldersOptions = {
  readonly log: Log;
  /** Entries of watched folders, or folders themselves, changed; by so many events of the kernel. */
  readonly told: (paths: readonly string[], events: number) => void;
  /** Watched since then, wall clock, with what is wanted below it: what changed before is not told. */
  readonly placed: (folder: string, at: number) => void;
  /** The watches stand again; what happened meanwhile is not known. */
  readonly blind: () => void;
  /** The system gives no more watches, or the thread does not stay alive. */
  readonly refused: (error: unknown) => void;
};

const RESTART_MS = 1_000;

export class Folders {
  readonly #options: FoldersOptions;
  #wanted: WantedFolders = { trees: [], places: [], expected: [] };
  #id = 0;
  #waiting: { readonly id: number; readonly applied: Deferred<void> }[] = [];
  #thread: Worker | undefined;
  #life: "first" | "second" | "over" = "first";
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FoldersOptions) {
    this.#options = options;
    this.#thread = this.#start();
  }

  /** Settles when the watches stand. */
  async apply(wanted: WantedFolders): Promise<void> {
    if (this.#life === "over") return;
    if (JSON.stringify(wanted) !== JSON.stringify(this.#wanted)) {
      this.#wanted = wanted;
      this.#id += 1;
      this.#send();
    }
    const applied = deferred<void>();
    this.#waiting.push({ id: this.#id, applied });
    return applied.promise;
  }

  /** Places every watch anew: events were lost, and with them perhaps the news that a folder is another one. */
  renew(): void {
    this.#post({ is: "renew" });
  }

  async close(): Promise<void> {
    this.#life = "over";
    clearTimeout(this.#timer);
    this.#applied(this.#id);
    await this.#thread?.terminate();
  }

  #start(): Worker {
    // Neither the daemon's arguments nor its loaders are the thread's business, nor is chokidar to heed a user's
    // CHOKIDAR_USEPOLLING: in polling there are no raw events of files. What the walk leaves behind is collected
    // early, since an idle thread collects nothing.
    const thread = new Worker(PROGRAMS.watchThread, {
      execArgv: [],
      argv: [],
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    let cause: unknown;
    thread.on("message", (message: FromThread) => this.#take(message));
    thread.on("error", (error) => {
      cause = error;
    });
    thread.on("exit", () => this.#ended(cause ?? new Error("the watching thread ended")));
    return thread;
  }

  #ended(cause: unknown): void {
    this.#thread = undefined;
    if (this.#life === "over") return;
    this.#options.log.error({ err: cause }, "The thread that watches files ended by a fault.");
    if (this.#life === "second") {
      this.#life = "over";
      this.#applied(this.#id);
      this.#options.refused(cause);
      return;
    }
    this.#life = "second";
    this.#timer = setTimeout(() => {
      this.#thread = this.#start();
      this.#id += 1;
      this.#send();
      const applied = deferred<void>();
      this.#waiting.push({ id: this.#id, applied });
      void applied.promise.then(() => this.#life === "second" && this.#options.blind());
    }, RESTART_MS);
  }

  #take(message: FromThread): void {
    if (this.#life === "over") return;
    switch (message.is) {
      case "told":
        this.#options.told(message.paths, message.events);
        break;
      case "placed":
        this.#options.placed(message.folder, message.at);
        break;
      case "refused":
        this.#options.refused(Object.assign(new Error(message.message), { code: message.code }));
        break;
      case "applied":
        this.#applied(message.id);
        break;
      default:
        message satisfies never;
    }
  }

  #applied(id: number): void {
    for (const waiting of this.#waiting) if (waiting.id <= id) waiting.applied.resolve();
    this.#waiting = this.#waiting.filter((waiting) => waiting.id > id);
  }

  #send(): void {
    this.#post({ is: "wanted", id: this.#id, folders: this.#wanted });
  }

  #post(message: ToThread): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
    this.#thread?.postMessage(message);
  }
}
