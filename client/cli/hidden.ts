/** A line that is typed at a terminal and shown nowhere. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

export async function readHidden(question: string, signal: AbortSignal): Promise<string> {
  // readline echoes what is typed by writing it out: here to nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true, historySize: 0 });
  // Only now: from here on the terminal itself shows nothing of what is typed.
  process.stderr.write(question);
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const closed = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
  try {
    return await Promise.race([lines.question("", { signal }), closed]);
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
