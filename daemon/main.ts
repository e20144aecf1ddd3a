/**
 * The process livedevd: `node daemon.js --project DIR [--stage S] [--log FILE]`. Clients open it and connect; this
 * file only reads the arguments, says over IPC how it went, and turns signals into an end. Its log goes to stderr,
 * or to the file, which it keeps from growing without end; `--echo`: to both.
 *
 * Exit codes: 0 it was asked to end; 1 it could not start or a bug ended it; 75 another daemon holds the stage.
 */
import { parseArgs } from "node:util";

import { DAEMON_TAKEN, type DaemonMessage } from "../proto/discovery.ts";

import { Daemon } from "./daemon.ts";
import { LivedevError } from "./lib/errors.ts";
import { openLog } from "./lib/log.ts";
import { LogFile } from "./lib/log-file.ts";

const EXIT_TAKEN = 75;

const { values } = parseArgs({
  options: {
    project: { type: "string" },
    stage: { type: "string" },
    log: { type: "string" },
    echo: { type: "boolean" },
  },
});
const log = openLog(destination());

function destination() {
  if (values.log === undefined) return process.stderr;
  let file: LogFile;
  try {
    file = new LogFile(values.log);
  } catch {
    // A folder that cannot be written: what is opened next in it says so in a sentence.
    return process.stderr;
  }
  if (values.echo !== true) return file;
  return {
    write(line: string) {
      file.write(line);
      process.stderr.write(line);
    },
  };
}

// Node prints warnings of its own and of packages (a deprecation, an SDK's word on Node's version) as raw text.
process.removeAllListeners("warning");
process.on("warning", ({ name, message }) => log.warn({ component: "node", warning: name }, message));
// Whoever reads along may leave: a closed terminal, the end of a pipe.
process.stderr.on("error", () => {});

/** Whoever spawned us may be gone, or may not have asked. */
function tell(message: DaemonMessage): void {
  if (process.send === undefined || !process.connected) return;
  process.send(message, () => process.connected && process.disconnect());
}

try {
  const daemon = await Daemon.open({
    project: values.project ?? process.cwd(),
    ...(values.stage === undefined ? {} : { stage: values.stage }),
    log,
  });

  // The first asks: running invocations may finish. The second does not wait for them.
  const onSignal = (signal: NodeJS.Signals) => daemon.stop(signal);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);

  const bug = (error: unknown) => {
    log.fatal({ err: error }, "a bug ended the daemon");
    process.exitCode = 1;
    daemon.stop("bug");
  };
  process.on("uncaughtException", bug);
  process.on("unhandledRejection", bug);

  tell({ type: "ready", socket: daemon.socket });
  await daemon.ended.catch((error: unknown) => {
    log.fatal({ err: error }, "the daemon could not close in order");
    process.exitCode = 1;
  });
  // Whatever still stands: it was asked to end.
  process.exit();
} catch (error) {
  if (!(error instanceof LivedevError)) {
    log.fatal({ err: error }, "the daemon could not start");
    tell({ type: "failed", code: "daemon.bug", message: `livedevd could not start: ${String(error)}` });
    process.exitCode = 1;
  } else {
    log.error({ code: error.code, hint: error.hint }, error.message);
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    tell({ type: "failed", code: error.code, message: error.message, ...hint });
    process.exitCode = error.code === DAEMON_TAKEN ? EXIT_TAKEN : 1;
  }
}
