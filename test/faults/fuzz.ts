/** Seeded messages for the control API: valid ones, and all that goes wrong with them. */
import { RPC } from "../../proto/rpc.ts";

/** Those that change nothing, whatever their params; all others are only ever sent with params that must be refused. */
const HARMLESS = [
  "rpc.discover",
  "daemon.hello",
  "daemon.status",
  "daemon.doctor",
  "function.list",
  "invocation.list",
  "invocation.get",
  "event.list",
  "events.subscribe",
  "events.unsubscribe",
];
const METHODS = [...Object.keys(RPC), "$/cancelRequest", "no.such", "", "__proto__", "constructor", "rpc."];
const NAMES = [
  "limit",
  "after",
  "id",
  "types",
  "text",
  "since",
  "__proto__",
  "constructor",
  "functionName",
  "event",
  "reveal",
  "subscription",
  "protocol",
  "environment",
];

export class Fuzz {
  #state: number;
  readonly #text64k: string;

  constructor(seed: number) {
    this.#state = seed >>> 0;
    const codes = Array.from({ length: 65_536 }, () => this.#int(this.chance(0.9) ? 127 : 0x3000));
    this.#text64k = codes.map((code) => String.fromCharCode(code)).join("");
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  message(): string | Buffer {
    const roll = this.#random();
    if (roll < 0.55) return this.#text(this.#request());
    if (roll < 0.65) return this.#batch();
    if (roll < 0.8) return this.#broken(this.#text(this.#request(HARMLESS)));
    if (roll < 0.9) return this.#text(this.#value(3));
    if (roll < 0.93) return this.#nested();
    if (roll < 0.995) return this.#noise();
    return this.#bytes(this.#text(this.#request(HARMLESS)));
  }

  #request(methods: readonly string[] = METHODS): Record<string, unknown> {
    const method = this.#one(methods);
    const changing = method in RPC && !HARMLESS.includes(method);
    return {
      jsonrpc: this.chance(0.95) ? "2.0" : this.#value(1),
      ...(this.chance(0.9) && { id: this.chance(0.9) ? this.#int(1_000_000) : this.#value(1) }),
      method: this.chance(0.97) ? method : this.#value(1),
      ...((changing || this.chance(0.8)) && {
        params: changing ? { [`x${this.#int(99)}`]: this.#value(2) } : this.#params(),
      }),
      ...(this.chance(0.05) && { [this.#one(NAMES)]: this.#value(2) }),
    };
  }

  #params(): unknown {
    if (this.chance(0.1)) return this.#value(2);
    const pairs = Array.from({ length: this.#int(4) }, () => [this.#one(NAMES), this.#value(2)]);
    return Object.fromEntries(pairs);
  }

  #value(depth: number): unknown {
    switch (this.#int(depth > 0 ? 13 : 10)) {
      case 0:
        return null;
      case 1:
        return this.chance(0.5);
      case 2:
        return this.#int(100);
      case 3:
        return this.#one([-1, -0, 0.5, 1e308, -1e308, 2 ** 53, 2 ** 31, 1e-7, Number.MAX_SAFE_INTEGER]);
      case 4:
        return "";
      case 5:
        return this.#string(this.#int(40));
      case 6:
        return this.#one([
          "2.0",
          "*",
          "invocation.*",
          "../../etc/passwd",
          "'; DROP TABLE events; --",
          "%",
          "\0",
          "\ud800",
          "𝒳",
          "toString",
        ]);
      case 7:
        return this.#string(this.chance(0.02) ? 20_000 : 5);
      case 8:
        return { database: this.#string(4), seq: this.#int(9) };
      case 9:
        return [];
      case 10:
        return Array.from({ length: this.#int(5) }, () => this.#value(depth - 1));
      default:
        return Object.fromEntries(
          Array.from({ length: this.#int(4) }, () => [this.#one(NAMES), this.#value(depth - 1)]),
        );
    }
  }

  /** JSON.stringify drops a `__proto__` that was set; a literal one goes out as it stands. */
  #text(value: unknown): string {
    const text = JSON.stringify(value) ?? "null";
    return this.chance(0.03) ? text.replace("{", '{"__proto__":{"polluted":true},') : text;
  }

  #batch(): string {
    const length = this.chance(0.01) ? 1_500 : this.#int(8);
    return `[${Array.from({ length }, () => this.#text(this.chance(0.8) ? this.#request() : this.#value(1))).join(",")}]`;
  }

  #broken(text: string): string {
    const at = this.#int(text.length);
    switch (this.#int(4)) {
      case 0:
        return text.slice(0, at);
      case 1:
        return text.slice(0, at) + text.slice(at + 1);
      case 2:
        return text.slice(0, at) + this.#string(1) + text.slice(at + 1);
      default:
        return text + text.slice(at);
    }
  }

  #nested(): string {
    const depth = this.#int(2_000);
    return this.chance(0.5) ? "[".repeat(depth) + "]".repeat(depth) : '{"a":'.repeat(depth);
  }

  #noise(): string {
    return this.#string(this.#int(200));
  }

  #bytes(text: string): Buffer {
    const bytes = Buffer.from(text);
    for (let n = this.#int(4); n >= 0; n--) bytes[this.#int(bytes.length)] = this.#int(256);
    return bytes;
  }

  /** Cut from one long text: drawing each character would take longer than all that the daemon does. */
  #string(length: number): string {
    const from = this.#int(this.#text64k.length - length);
    return this.#text64k.slice(from, from + length);
  }

  #one<T>(from: readonly T[]): T {
    return from[this.#int(from.length)] as T;
  }

  /** 0 up to, not including, `below`. */
  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  /** mulberry32. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
