/** Connections that pass, and how many bytes have. */
import type { Duplex } from "node:stream";
import { Socket } from "node:net";

export type Counted = {
  readonly open: number;
  readonly opened: number;
  /** From the far end to here, and from here to there. */
  readonly bytesIn: number;
  readonly bytesOut: number;
};

export class Traffic {
  #open = 0;
  #opened = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  get counted(): Counted {
    return { open: this.#open, opened: this.#opened, bytesIn: this.#bytesIn, bytesOut: this.#bytesOut };
  }

  /** What one says the other hears, each at its own pace; with the end of either both end. */
  join(far: Duplex, near: Duplex): void {
    this.#open += 1;
    this.#opened += 1;
    if (near instanceof Socket) near.setNoDelay(true);
    far.on("data", (bytes: Buffer) => (this.#bytesIn += bytes.length));
    near.on("data", (bytes: Buffer) => (this.#bytesOut += bytes.length));
    let over = false;
    const ended = () => {
      if (!over) this.#open -= 1;
      over = true;
    };
    for (const [stream, other] of [
      [far, near],
      [near, far],
    ] as const) {
      stream.on("error", () => other.destroy());
      stream.on("close", () => {
        ended();
        leave(other);
      });
    }
    far.pipe(near);
    near.pipe(far);
  }
}

/** What it was given is still written; then it goes. */
function leave(stream: Duplex): void {
  if (stream.destroyed) return;
  if (stream.writableFinished) stream.destroy();
  else stream.end(() => stream.destroy());
}
