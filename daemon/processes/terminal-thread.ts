/**
 * Entry of dist/terminal-thread.js: the terminals of frontends and services, in one thread for all of them. Drawing
 * screens, cutting lines and looking through the machine's processes would hold up the daemon's invocations.
 */
import { parentPort } from "node:worker_threads";

import { messageOf } from "../lib/errors.ts";
import { giveWay, makeGiveWay } from "../lib/priority.ts";
import { endTree, type Patience } from "./ladder.ts";
import { Terminal, type Exit, type Order, type Output, type Screen } from "./terminal.ts";
import { membersOfEach, type Root } from "./tree.ts";

/** What is asked, each answered. `name` is the process's. */
export type Questions = {
  readonly start: { params: { name: string; order: Order }; result: { pid: number } };
  readonly end: { params: { root: Root; patience: Patience }; result: { alive: number } };
  readonly usage: { params: { roots: readonly Root[] }; result: readonly Usage[] };
  readonly screen: { params: { name: string; scrollback: number }; result: Screen };
  readonly clear: { params: { name: string }; result: void };
  readonly output: { params: { name: string; after: number; waitMs: number }; result: Output };
};

export type Usage = {
  readonly processes: number;
  readonly cpuMs: number;
  readonly memoryBytes: number;
};

export type ToTerminals =
  | {
      [Q in keyof Questions]: {
        readonly is: Q;
        readonly id: number;
        readonly params: Questions[Q]["params"];
      };
    }[keyof Questions]
  | { readonly is: "write"; readonly name: string; readonly data: string }
  | { readonly is: "resize"; readonly name: string; readonly columns: number; readonly rows: number }
  /** The lines of this process that were told last have been made use of. */
  | { readonly is: "taken"; readonly name: string }
  /** Its process is no part of the app any more. */
  | { readonly is: "forget"; readonly name: string }
  /** Nothing more will be asked: the thread ends when its last PTY has. */
  | { readonly is: "close" };

export type FromTerminals =
  | { readonly is: "answer"; readonly id: number; readonly result: unknown }
  | { readonly is: "refused"; readonly id: number; readonly lacks?: Lack; readonly message: string }
  | { readonly is: "lines"; readonly name: string; readonly lines: readonly string[] }
  /** Behind its lines. */
  | { readonly is: "exited"; readonly name: string; readonly pid: number; readonly exit: Exit };

/** What there is no terminal without: the library, or the system's PTY. */
export type Lack = "library" | "pty";

giveWay();

const terminals = new Map<string, Terminal>();

parentPort?.on("message", (message: ToTerminals) => {
  switch (message.is) {
    case "write":
      terminals.get(message.name)?.write(message.data);
      break;
    case "resize":
      terminals.get(message.name)?.resize(message.columns, message.rows);
      break;
    case "taken":
      terminals.get(message.name)?.taken();
      break;
    case "forget":
      terminals.get(message.name)?.close();
      terminals.delete(message.name);
      break;
    case "close":
      for (const one of terminals.values()) one.close();
      parentPort?.close();
      break;
    case "start":
      void start(message.id, message.params);
      break;
    case "end": {
      const { root, patience } = message.params;
      answer(
        message.id,
        endTree(root, patience).then((alive) => ({ alive })),
      );
      break;
    }
    case "usage":
      answer(message.id, usage(message.params.roots));
      break;
    case "screen":
      answer(message.id, terminal(message.params.name).screen(message.params.scrollback));
      break;
    case "clear":
      answer(message.id, terminal(message.params.name).clear());
      break;
    case "output": {
      const { name, after, waitMs } = message.params;
      answer(message.id, terminal(name).output(after, waitMs));
      break;
    }
    default:
      message satisfies never;
  }
});

async function start(id: number, { name, order }: Questions["start"]["params"]): Promise<void> {
  let fork;
  try {
    ({ spawn: fork } = await import("@lydell/node-pty"));
  } catch (error) {
    post({ is: "refused", id, lacks: "library", message: messageOf(error) });
    return;
  }
  try {
    const pid = terminal(name).start(fork, order, (exit) => post({ is: "exited", name, pid, exit }));
    makeGiveWay(pid);
    post({ is: "answer", id, result: { pid } });
  } catch (error) {
    // As the C library calls it.
    const pty = /pty\(3\)/.test(messageOf(error));
    post({ is: "refused", id, ...(pty && { lacks: "pty" }), message: messageOf(error) });
  }
}

function terminal(name: string): Terminal {
  const found = terminals.get(name);
  if (found !== undefined) return found;
  const made = new Terminal({ onLines: (lines) => post({ is: "lines", name, lines }) });
  terminals.set(name, made);
  return made;
}

async function usage(roots: readonly Root[]): Promise<Usage[]> {
  const trees = await membersOfEach(roots);
  return trees.map((members) => ({
    processes: members.length,
    cpuMs: members.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    memoryBytes: members.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
  }));
}

function answer(id: number, result: Promise<unknown>): void {
  result.then(
    (value) => post({ is: "answer", id, result: value }),
    (error: unknown) => post({ is: "refused", id, message: messageOf(error) }),
  );
}

function post(message: FromTerminals): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
  parentPort?.postMessage(message);
}
