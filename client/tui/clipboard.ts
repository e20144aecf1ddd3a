/** The user's clipboard, by OSC 52: it reaches them over SSH, too. */
import { spawn } from "node:child_process";

/** Terminals take no more, tmux among them: a megabyte of the sequence. */
export const MAX_COPIED = 700 * 1024;

export const clipboardSequence = (text: string): string =>
  `\u001B]52;c;${Buffer.from(text, "utf8").toString("base64")}\u0007`;

/** As it comes, tmux lets no program in it reach the clipboard; itself it does, and keeps the text as a buffer. */
export function copyByTmux(text: string): void {
  if ((process.env["TMUX"] ?? "") === "") return;
  const tmux = spawn("tmux", ["load-buffer", "-w", "-"], { stdio: ["pipe", "ignore", "ignore"] });
  tmux.on("error", () => {});
  tmux.stdin.on("error", () => {});
  tmux.stdin.end(text);
}
