/** A TCP proxy that breaks what it carries: cuts, swallows, refuses. */
import { EventEmitter, once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

type Pair = {
  readonly near: Socket;
  readonly far: Socket;
  swallowed: boolean;
  /** Stalled: what each end said meanwhile, until `release()`. */
  held: { readonly into: Socket; readonly bytes: Buffer }[] | undefined;
};

/** Beside a plain cut: both ends are told so with a reset; one end alone is told; neither is, and nothing passes. */
export const WAYS_TO_END = ["reset", "half-open", "stalled"] as const;
export type WayToEnd = (typeof WAYS_TO_END)[number];

export class CutProxy extends EventEmitter {
  readonly #target: number;
  #server: Server;
  #port = 0;
  readonly #pairs = new Set<Pair>();
  #swallowNew = false;
  /** Connections so far. */
  connections = 0;
  /** Called with each piece of data before it is passed on; true: it is dropped, and the connection is cut. */
  cutAt: ((to: "daemon" | "stub", bytes: Buffer) => boolean) | undefined;

  /** The same, for other ends than a cut; what a line that stalls was given is kept. */
  endAt: ((to: "daemon" | "stub") => WayToEnd | undefined) | undefined;

  private constructor(target: number) {
    super();
    this.#target = target;
    this.#server = createServer((near) => this.#carry(near));
  }

  static async open(target: number): Promise<CutProxy> {
    const proxy = new CutProxy(target);
    await proxy.accept();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  async connected(): Promise<void> {
    await once(this, "connection");
  }

  /** Cuts all connections, as a router that restarts. */
  cut(): void {
    for (const pair of this.#pairs) this.#end(pair);
  }

  /** From now on nothing passes on the connections that stand, and neither end is told. */
  blackHole(): void {
    for (const pair of this.#pairs) pair.swallowed = true;
  }

  /** What stalled goes on where it was. */
  release(): void {
    for (const pair of this.#pairs) {
      for (const { into, bytes } of pair.held ?? []) if (!into.destroyed) into.write(bytes);
      pair.held = undefined;
    }
  }

  /** Also new connections go into the void. */
  swallowNew(on: boolean): void {
    this.#swallowNew = on;
  }

  /** New connections are refused from now on. */
  async refuse(): Promise<void> {
    await new Promise((resolve) => {
      this.#server.close(resolve);
      this.cut();
    });
  }

  async accept(): Promise<void> {
    this.#server = createServer((near) => this.#carry(near));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
  }

  #carry(near: Socket): void {
    const far = connect(this.#target, "127.0.0.1");
    const pair: Pair = { near, far, swallowed: this.#swallowNew, held: undefined };
    this.#pairs.add(pair);
    this.connections += 1;
    near.setNoDelay(true);
    far.setNoDelay(true);
    const pass = (from: Socket, into: Socket, to: "daemon" | "stub") => {
      from.on("data", (bytes) => {
        if (pair.swallowed) return;
        if (pair.held !== undefined) {
          pair.held.push({ into, bytes });
          return;
        }
        const way = this.endAt?.(to);
        if (way !== undefined) this.#endBy(way, pair, { into, bytes });
        else if (this.cutAt?.(to, bytes) === true) this.#end(pair);
        else if (!into.write(bytes)) {
          from.pause();
          into.once("drain", () => from.resume());
        }
      });
      from.on("error", () => {});
      from.on("close", () => {
        if (!pair.swallowed && pair.held === undefined) this.#end(pair);
      });
    };
    pass(near, far, "daemon");
    pass(far, near, "stub");
    this.emit("connection");
  }

  #endBy(way: WayToEnd, pair: Pair, piece: { into: Socket; bytes: Buffer }): void {
    switch (way) {
      case "reset":
        this.#pairs.delete(pair);
        pair.near.resetAndDestroy();
        pair.far.resetAndDestroy();
        break;
      case "half-open":
        // The stub hears nothing of its end; the daemon does.
        pair.swallowed = true;
        pair.far.destroy();
        break;
      case "stalled":
        pair.held = [piece];
        break;
      default:
        way satisfies never;
    }
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.near.destroy();
    pair.far.destroy();
  }
}
