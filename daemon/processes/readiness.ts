/**
 * When a process is ready. Its port answers, where the config's `dev.url` names one; its output matches, where the
 * config says how; a frontend prints where it listens. What does none of these is ready as soon as it runs.
 */
import { setTimeout as sleep } from "node:timers/promises";

import type { ProcessKind } from "../../proto/app.ts";
import { deferred } from "../lib/scope.ts";
import { answers } from "../lib/ports.ts";
import { withoutColour } from "./text.ts";

export type Expected = {
  readonly kind: ProcessKind;
  /** Of the config. */
  readonly url: string | undefined;
  /** Of the config: a regular expression. */
  readonly ready: string | undefined;
};

const FIRST_LOOK_MS = 50;
const LAST_LOOK_MS = 1_000;

const PRINTED = /https?:\/\/(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::\d+)?(?:\/[\w\-./?=&%~]*)?/;

/** The port that a URL of this machine means. */
export function portOf(url: string | undefined): number | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  const { hostname, port, protocol } = new URL(url);
  if (!/^(?:localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\]|.+\.localhost)$/.test(hostname))
    return undefined;
  return port === "" ? (protocol === "https:" ? 443 : 80) : Number(port);
}

export class Readiness {
  readonly #expected: Expected;
  readonly #printed = deferred<string>();
  readonly #matched = deferred<void>();
  readonly #pattern: RegExp | undefined;
  #looking = true;

  constructor(expected: Expected) {
    this.#expected = expected;
    this.#pattern = expected.ready === undefined ? undefined : new RegExp(expected.ready, "u");
  }

  /** What it printed. */
  lines(lines: readonly string[]): void {
    if (!this.#looking) return;
    for (const line of lines) {
      const text = withoutColour(line);
      if (this.#pattern?.test(text) === true) this.#matched.resolve();
      const url = PRINTED.exec(text)?.[0];
      if (url !== undefined) this.#printed.resolve(url.replace("//0.0.0.0", "//localhost"));
    }
  }

  /** Rejects with the signal. `onUrl` is told where it says that it listens, also after it is ready. */
  async wait(signal: AbortSignal, onUrl: (url: string) => void): Promise<void> {
    const { url, ready, kind } = this.#expected;
    signal.addEventListener("abort", () => (this.#looking = false), { once: true });
    let found = url;
    const printed = this.#printed.promise.then((said) => {
      if (url !== undefined || signal.aborted) return;
      found = said;
      onUrl(said);
    });
    if (ready !== undefined) await orAborted(this.#matched.promise, signal);
    else if (url === undefined && isFrontend(kind)) await orAborted(printed, signal);
    const port = portOf(found);
    if (port !== undefined && (url !== undefined || ready === undefined)) await answering(port, signal);
  }
}

/** A service without a URL says nothing that could be waited for; a frontend prints its address. */
export const isFrontend = (kind: ProcessKind): boolean =>
  kind !== "aws.Service" && kind !== "DevCommand" && kind !== "aws.Postgres" && kind !== "aws.Redis";

async function answering(port: number, signal: AbortSignal): Promise<void> {
  for (let waitMs = FIRST_LOOK_MS; !(await answers(port)); waitMs = Math.min(waitMs * 1.5, LAST_LOOK_MS)) {
    await sleep(waitMs, undefined, { signal });
  }
  signal.throwIfAborted();
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
