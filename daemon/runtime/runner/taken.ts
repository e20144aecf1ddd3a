/**
 * Node's own functions, taken before any user code runs: user code may patch them (tracing, mocks, fake timers), and
 * must neither see the runner's use of them nor break it.
 */
import { request as httpRequest } from "node:http";
import { setImmediate as nodeSetImmediate } from "node:timers";

export const request = httpRequest;
export const setImmediate = nodeSetImmediate;
export const exit: typeof process.exit = process.exit.bind(process);

const { stdout, stderr } = process;

/**
 * Resolves when what was printed has left the process: a pipe takes little at once, and the rest would come after the
 * answer, or be lost with the process.
 */
export async function printed(): Promise<void> {
  for (const stream of [stdout, stderr]) {
    if (stream.writableLength > 0 && !stream.destroyed) {
      await new Promise<void>((resolve) => stream.write("", () => resolve()));
    }
  }
}

export const writeError: typeof process.stderr.write = process.stderr.write.bind(process.stderr);
