/**
 * Each function's freshest credentials. They come with the environment of its stubs: AWS gives every execution
 * environment its own, and a newer environment's last longer than an older one's, so the newest wins, whichever of
 * them an event comes from, and in whichever order they connect. In memory alone; they never reach a file or a log.
 */
import { continuousMs } from "../lib/clock.ts";
import { credentialsUnknown } from "../lib/errors.ts";

export type Variables = Readonly<Record<string, string>>;

/** @see https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html */
const KEYS = [
  "AWS_ACCESS_KEY_ID",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "AWS_CREDENTIAL_EXPIRATION",
] as const;

type Known = {
  readonly keys: Variables;
  /** Where the environment itself says so. */
  readonly expiresAt: number | undefined;
  /** When their environment began, by our clock that goes on. */
  readonly bornAt: number;
  /** By the same clock: when a stub said so, or was last asked for newer ones. */
  readonly lookedAt: number;
};

/** What of a stub's hello matters here. */
export type Greeting = {
  readonly functionName: string;
  readonly sandbox: string;
  /** Absent: as if it began now. */
  readonly ageMs?: number;
  readonly environment: Variables;
};

/** An environment lives for hours, and its credentials with it: those of a younger one last longer. */
const OLD_MS = 10 * 60_000;
/** Before they expire, as the SDKs have it. */
const MARGIN_MS = 5 * 60_000;

const isOld = ({ lookedAt, expiresAt = Infinity }: Known): boolean =>
  continuousMs() - lookedAt > OLD_MS || expiresAt - Date.now() < MARGIN_MS;

/** More environments than a stage has at a time. */
const MAX_SEEN = 5_000;

export class Credentials {
  readonly #byFunction = new Map<string, Known>();
  /** Sandboxes that have said hello, the oldest first: their credentials stay what they were. */
  readonly #seen = new Set<string>();
  readonly #knocking = new Map<string, Promise<void>>();

  /** A stub has said hello with its environment; the same sandbox may do so many times. */
  greeted({ functionName, sandbox, ageMs = 0, environment }: Greeting): void {
    if (environment["AWS_ACCESS_KEY_ID"] === undefined || this.#seen.has(sandbox)) return;
    this.#seen.add(sandbox);
    if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.values().next().value ?? "");
    const keys = Object.fromEntries(
      KEYS.flatMap((name) => (environment[name] === undefined ? [] : [[name, environment[name]]])),
    );
    const stated = Date.parse(environment["AWS_CREDENTIAL_EXPIRATION"] ?? "");
    const expiresAt = Number.isNaN(stated) ? undefined : stated;
    const now = continuousMs();
    const known = { keys, expiresAt, bornAt: now - ageMs, lookedAt: now };
    const before = this.#byFunction.get(functionName);
    if (before === undefined || isNewer(known, before)) this.#byFunction.set(functionName, known);
  }

  /**
   * The environment of an event's sandbox, with the function's freshest credentials in it. The JavaScript SDK reads
   * its environment again only where it says that the credentials expire: at once where that has passed, behind a call
   * with the old ones in the five minutes before. Lambda does not say when they do, so the code is told "now", and
   * looks at each use.
   */
  freshest(functionName: string, environment: Variables): Variables {
    const known = this.#byFunction.get(functionName);
    const keys = known?.keys ?? environment;
    if (keys["AWS_ACCESS_KEY_ID"] === undefined) return environment;
    return {
      ...environment,
      ...keys,
      AWS_CREDENTIAL_EXPIRATION: keys["AWS_CREDENTIAL_EXPIRATION"] ?? new Date().toISOString(),
    };
  }

  /**
   * The function's own, for a program beside it. `knock` has a stub say hello, whose environment may be a newer one;
   * where it cannot, those of before serve on. @throws LivedevError where there are none.
   */
  async fresh(functionName: string, knock: () => Promise<void>): Promise<Variables> {
    const before = this.#byFunction.get(functionName);
    if (before !== undefined && !isOld(before)) return before.keys;
    try {
      await this.#once(functionName, knock);
    } catch (error) {
      if (before === undefined || (before.expiresAt ?? Infinity) < Date.now()) throw error;
      return before.keys;
    }
    const now = this.#byFunction.get(functionName);
    if (now === undefined) throw credentialsUnknown(functionName);
    this.#byFunction.set(functionName, { ...now, lookedAt: continuousMs() });
    return now.keys;
  }

  /** Many programs ask at once; one event serves them all. */
  #once(functionName: string, knock: () => Promise<void>): Promise<void> {
    const under = this.#knocking.get(functionName);
    if (under !== undefined) return under;
    const knocking = knock().finally(() => this.#knocking.delete(functionName));
    this.#knocking.set(functionName, knocking);
    return knocking;
  }

  /** Of functions that are gone. */
  keepOnly(functionNames: readonly string[]): void {
    const kept = new Set(functionNames);
    for (const name of this.#byFunction.keys()) if (!kept.has(name)) this.#byFunction.delete(name);
  }
}

/** Where both say when they expire, that is what counts; otherwise the environment that began last. */
function isNewer(one: Known, other: Known): boolean {
  if (one.expiresAt !== undefined && other.expiresAt !== undefined) return one.expiresAt >= other.expiresAt;
  return one.bornAt >= other.bornAt;
}
