/**
 * Entry of dist/process-thread.js: the processes of a daemon's workers, in a thread of its own. Starting one holds its
 * thread until the new program is loaded, which on a busy machine takes tens of milliseconds; reading what it prints,
 * and cutting that into lines, takes all the time that a process likes to take.
 */
import { parentPort } from "node:worker_threads";

import { codeOf, messageOf } from "../lib/errors.ts";
import { silentLog } from "../lib/log.ts";
import { makeGiveWay } from "../lib/priority.ts";
import { deferred, type Deferred } from "../lib/scope.ts";
import { endMarked } from "./marks.ts";
import { RuntimeProcess, type Exit, type ProcessOrder, type Stream } from "./process.ts";

export type ToProcesses =
  | { readonly is: "start"; readonly id: number; readonly order: ProcessOrder }
  | { readonly is: "send"; readonly id: number; readonly message: unknown }
  | { readonly is: "signal"; readonly id: number; readonly signal: NodeJS.Signals }
  /** Answered with `drained`, behind all the lines. */
  | { readonly is: "drain"; readonly id: number }
  | { readonly is: "stop"; readonly id: number }
  /** The lines of this process that were told last have been made use of. */
  | { readonly is: "taken"; readonly id: number }
  | { readonly is: "endMarked"; readonly id: number; readonly marks: readonly string[] };

export type FromProcesses =
  | { readonly is: "started"; readonly id: number; readonly pid: number }
  | { readonly is: "refused"; readonly id: number; readonly message: string; readonly code?: string }
  | { readonly is: "lines"; readonly id: number; readonly stream: Stream; readonly texts: readonly string[] }
  | { readonly is: "drained"; readonly id: number }
  /** Its end; what it printed may still come. */
  | { readonly is: "reaped"; readonly id: number }
  | { readonly is: "exited"; readonly id: number; readonly exit: Exit }
  | { readonly is: "marksEnded"; readonly id: number };

type Held = { readonly process: RuntimeProcess; readonly waiting: Deferred<void>[] };

const processes = new Map<number, Held>();

parentPort?.on("message", (message: ToProcesses) => {
  switch (message.is) {
    case "start":
      start(message.id, message.order);
      break;
    case "send":
      processes.get(message.id)?.process.send(message.message);
      break;
    case "signal":
      processes.get(message.id)?.process.signal(message.signal);
      break;
    case "drain":
      void drain(message.id);
      break;
    case "stop":
      void processes.get(message.id)?.process.stop();
      break;
    case "taken":
      processes.get(message.id)?.waiting.shift()?.resolve();
      break;
    case "endMarked":
      void endMarked(message.marks)
        .catch(() => 0)
        .then(() => post({ is: "marksEnded", id: message.id }));
      break;
    default:
      message satisfies never;
  }
});

function start(id: number, order: ProcessOrder): void {
  const waiting: Deferred<void>[] = [];
  let process: RuntimeProcess;
  try {
    process = new RuntimeProcess({
      ...order,
      log: silentLog,
      onLines: (stream, texts) => {
        post({ is: "lines", id, stream, texts });
        const taken = deferred<void>();
        waiting.push(taken);
        return taken.promise;
      },
      onReaped: () => post({ is: "reaped", id }),
    });
  } catch (error) {
    const code = codeOf(error);
    post({ is: "refused", id, message: messageOf(error), ...(code !== undefined && { code }) });
    return;
  }
  processes.set(id, { process, waiting });
  if (process.pid > 0) makeGiveWay(process.pid);
  post({ is: "started", id, pid: process.pid });
  void process.exited.then((exit) => {
    post({ is: "exited", id, exit });
    processes.delete(id);
  });
}

async function drain(id: number): Promise<void> {
  await processes.get(id)?.process.drained();
  post({ is: "drained", id });
}

function post(message: FromProcesses): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
  parentPort?.postMessage(message);
}
