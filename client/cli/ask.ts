/** A question that only a person at a terminal can answer. */
import { createInterface } from "node:readline/promises";

export const canAsk = (): boolean => process.stdin.isTTY && process.stderr.isTTY;

/** No is the answer to anything but yes, to Ctrl-D, and to silence. */
export async function agree(question: string, signal: AbortSignal): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // readline takes Ctrl-C from the terminal for itself.
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
  try {
    const answer = await Promise.race([lines.question(`${question} [y/N] `, { signal }), closed]);
    return /^\s*y(?:es)?\s*$/i.test(answer);
  } finally {
    lines.close();
  }
}
