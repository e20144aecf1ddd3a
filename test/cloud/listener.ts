import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Test } from "tap";

/** What functions under test call: it tells the test, and answers at once, or when the test lets go. */
export async function openListener(t: Test) {
  const calls: string[] = [];
  const waiting = new Map<number, (path: string) => void>();
  let held: Promise<void> = Promise.resolve();
  const server = createServer((incoming, response) => {
    calls.push(incoming.url ?? "");
    waiting.get(calls.length)?.(incoming.url ?? "");
    void held.then(() => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.teardown(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    calls,
    /** The path of the nth call, when it has come. */
    call: (nth: number): Promise<string> => {
      const come = calls[nth - 1];
      if (come !== undefined) return Promise.resolve(come);
      return new Promise((resolve) => waiting.set(nth, resolve));
    },
    /** Answers wait until the function that this gives is called. */
    hold: (): (() => void) => {
      let go!: () => void;
      held = new Promise((resolve) => (go = resolve));
      return go;
    },
  };
}
