/**
 * A process's terminal in this one: its screen as it stands, then what it writes; what is typed goes to it. Leaving
 * stops nothing. Where this is no terminal, its output alone is passed on.
 */
import type { Command } from "commander";

import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import type { Cli, Common } from "./cli.ts";
import { note, printJson } from "./output.ts";

/** Ctrl-], which programs hardly use. */
const LEAVE = "\u001D";
const WAIT_MS = 20_000;
/** The process's own terminal answers what programs ask of theirs; ours would answer a second time. */
const ANSWERS =
  // oxlint-disable-next-line no-control-regex -- these are the characters in question
  /\u001B(?:\[[?>]?[\d;]*(?:c|n|\$y)|\[\d+;\d+R|\](?:4|10|11|12);[^\u0007\u001B]*(?:\u0007|\u001B\\)|P[^\u001B]*\u001B\\)/g;
/** Main screen, cursor, no mouse, no colours: whatever the program had switched on. */
const RESTORE =
  "\u001B[?1049l\u001B[?25h\u001B[?1000l\u001B[?1002l\u001B[?1003l\u001B[?1006l\u001B[?2004l\u001B[?1l\u001B[0m\r\n";

export function attachCommand(cli: Cli): Command {
  return cli
    .command(
      "attach",
      "A process's terminal, in this one: what you type goes to it. Ctrl-] leaves, and stops nothing.",
      [
        ["livedev attach Web", "any number may look at the same time"],
        ["livedev attach Web --json", "how its screen stands, once: { text, columns, rows }"],
        ["livedev attach Web > web.txt", "without a terminal: what it writes, until Ctrl-C"],
      ],
    )
    .argument("<process>", "its name in the config")
    .action(
      cli.action<Common>(async ({ args: [name = ""], options }) => {
        const { signal } = cli;
        await using client = await connect({ ...options, open: false, signal });
        if (options.json === true) {
          const { cursor: _, ...screen } = await client.call("process.screen", { name }, { signal });
          printJson(screen);
          return;
        }
        const left = new AbortController();
        using _terminal = takeTerminal(client, name, () => left.abort());
        await show(client, name, AbortSignal.any([signal, left.signal]));
      }),
    );
}

async function show(client: LivedevClient, name: string, signal: AbortSignal): Promise<void> {
  const draw = async () => {
    const { text, cursor } = await client.call("process.screen", { name, scrollback: 1000 }, { signal });
    process.stdout.write(process.stdout.isTTY ? `\u001B[2J\u001B[H${text}` : "");
    return cursor;
  };
  try {
    for (let after = await draw(); ;) {
      const { text, cursor, gap } = await client.call(
        "process.output",
        { name, after, waitMs: WAIT_MS },
        { signal },
      );
      if (gap && process.stdout.isTTY) {
        after = await draw();
        continue;
      }
      // A terminal that is slower than the program: the screen is drawn anew where that falls behind.
      if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once("drain", resolve));
      after = cursor;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Keys go to the process, and it has this terminal's size. */
function takeTerminal(client: LivedevClient, name: string, leave: () => void): Disposable {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) return { [Symbol.dispose]: () => {} };
  note("Ctrl-] leaves; the process goes on.");
  // One after the other, in the order of the keys.
  let sent: Promise<unknown> = Promise.resolve();
  const send = (call: () => Promise<unknown>) => {
    sent = sent.then(call).catch(() => undefined);
  };
  const resize = () =>
    send(() => client.call("process.resize", { name, columns: stdout.columns, rows: stdout.rows }));
  const typed = (keys: string) => {
    if (keys.includes(LEAVE)) return leave();
    const data = keys.replaceAll(ANSWERS, "");
    if (data !== "") send(() => client.call("process.write", { name, data }));
  };
  stdin.setRawMode(true).setEncoding("utf8").on("data", typed).resume();
  stdout.on("resize", resize);
  resize();
  return {
    [Symbol.dispose]: () => {
      stdout.off("resize", resize);
      stdin.off("data", typed).pause();
      stdin.setRawMode(false);
      stdout.write(RESTORE);
    },
  };
}
