/**
 * Opens a text in the user's editor. It may hold what history seals, so its file is one that only the user can read,
 * in a folder of its own, and both are gone afterwards, however it ends.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { editorFailed, eventNotJson, LivedevError, messageOf } from "./errors.ts";

export type EditOptions = {
  readonly signal: AbortSignal;
  /** Whether to open it once more where it is no JSON, since the edit would be lost. */
  readonly again: (error: LivedevError) => Promise<boolean>;
};

/** `undefined`: emptied, which is how one says no. */
export async function editJson(text: string, { signal, again }: EditOptions): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), "livedev-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  // Also where a second Ctrl-C ends the process at once.
  process.on("exit", remove);
  try {
    const file = join(folder, "event.json");
    writeFileSync(file, text, { mode: 0o600, flag: "wx" });
    for (;;) {
      await open(file, signal);
      const edited = readFileSync(file, "utf8");
      if (edited.trim() === "") return undefined;
      const wrong = problem(edited);
      if (wrong === undefined) return edited;
      if (!(await again(wrong))) throw wrong;
    }
  } finally {
    remove();
    process.off("exit", remove);
  }
}

function problem(text: string): LivedevError | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return eventNotJson("The edited event", text, messageOf(error).replaceAll(/\s+/g, " "));
  }
}

const chosen = (): string | undefined => process.env["VISUAL"] || process.env["EDITOR"] || undefined;

/** As git decides: an editor that was chosen may need no terminal, the one that we would choose does. */
export const canEdit = (): boolean => chosen() !== undefined || (process.stdin.isTTY && process.stdout.isTTY);

async function open(file: string, signal: AbortSignal): Promise<void> {
  const editor = chosen() ?? "vi";
  // By the shell: an editor may be written with its options, `code --wait`.
  const child = spawn("/bin/sh", ["-c", `${editor} "$1"`, "livedev", file], { stdio: "inherit", signal });
  await new Promise<void>((resolve, reject) => {
    child.on("error", (error) => reject(signal.aborted ? error : editorFailed(editor, error.message)));
    child.on("close", (code, end) => {
      if (code === 0) resolve();
      else reject(editorFailed(editor, end ?? `exit code ${code}`));
    });
  });
}
