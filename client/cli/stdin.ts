import { fstatSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

import { stdinSilent } from "../errors.ts";

/** For who writes into the pipe, to begin. */
const PATIENCE_MS = 5_000;

export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  // Editors on Windows begin a file with it.
  return Buffer.concat(chunks)
    .toString()
    .replace(/^\uFEFF/, "");
}

/**
 * What a pipe or a file holds as stdin; `undefined` where it is neither, or empty. Sockets are left alone, as a
 * program that starts us may keep one open and never write; a pipe that does the same is refused in the end, since
 * neither waiting for ever nor going on without what was about to come is right.
 */
export async function readPiped(): Promise<string | undefined> {
  if (!isPipeOrFile()) return undefined;
  const timer = new AbortController();
  const began = new Promise<true>((resolve) => {
    for (const sign of ["readable", "end", "error"]) process.stdin.once(sign, () => resolve(true));
  });
  const silent = setTimeout(PATIENCE_MS, false as const, { signal: timer.signal }).catch(
    () => false as const,
  );
  if (!(await Promise.race([began, silent]))) throw stdinSilent(PATIENCE_MS / 1_000);
  timer.abort();
  const text = await readStdin();
  return text.trim() === "" ? undefined : text;
}

function isPipeOrFile(): boolean {
  try {
    const stat = fstatSync(process.stdin.fd);
    return stat.isFIFO() || stat.isFile();
  } catch {
    // Closed: `<&-`.
    return false;
  }
}
