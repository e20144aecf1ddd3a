/**
 * Opens a text in the user's editor. It may hold what history seals, so its file is one that only the user can read,
 * in a folder of its own, and both are gone afterwards, however it ends.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { editorFailed, LivedevError } from "../errors.ts";
import { agree, canAsk } from "./ask.ts";
import { checked } from "./event-input.ts";
import { note } from "./output.ts";

/** `undefined`: emptied, which is how one says no. Asks again where it is no JSON, since the edit would be lost. */
export async function editJson(text: string, signal: AbortSignal): Promise<string | undefined> {
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
      try {
        return checked(edited, "The edited event");
      } catch (error) {
        if (!(error instanceof LivedevError) || !canAsk()) throw error;
        note(error.message);
        if (!(await agree("Edit it again?", signal))) throw error;
      }
    }
  } finally {
    remove();
    process.off("exit", remove);
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
