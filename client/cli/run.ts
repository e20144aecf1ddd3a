/**
 * The daemon in the foreground: a child whose log is shown readable in this terminal, and stands in daemon.log as well.
 * It is in a process group of its own, or Ctrl-C would reach it twice, from the terminal and from us, and twice
 * means at once.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";

import type { Command } from "commander";

import { DAEMON_TAKEN, isDaemonMessage } from "../../proto/discovery.ts";

import { connect } from "../connect.ts";
import { isAlive, locate, type Place } from "../discovery.ts";
import { alreadyRunning, daemonDied, daemonProgramMissing, LivedevError, messageOf } from "../errors.ts";
import { daemonArguments, makeStateDir } from "../open-daemon.ts";
import { notInspected } from "../inspect.ts";
import { DAEMON_PROGRAM } from "../programs.ts";
import { printError, type Cli } from "./cli.ts";
import { daemonLine } from "./daemon-line.ts";
import { inspectIfAsked } from "./debug.ts";
import { EXIT } from "./exit.ts";
import { goLive, printLive } from "./live.ts";
import { note } from "./output.ts";
import { withYes, type StartOptions } from "./start.ts";

export function runCommand(cli: Cli): Command {
  return withYes(
    cli.command(
      "run",
      "Runs the daemon in the foreground, live, with its log. Ctrl-C lets running invocations finish; a second one ends them. Exit code 0 where it was asked to end, 130 after the second Ctrl-C.",
      [
        ["livedevd run", "for a process manager, a container, or to read along"],
        ["LIVEDEV_LOG=wire:trace livedevd run", "with every frame"],
      ],
    ),
  ).action(
    cli.action<StartOptions>(async ({ options }) => {
      if (!existsSync(DAEMON_PROGRAM)) throw daemonProgramMissing(DAEMON_PROGRAM);
      const place = locate(options);
      makeStateDir(place);
      const child = spawn(process.execPath, [...daemonArguments(place), "--echo"], {
        cwd: place.project,
        env: notInspected(),
        detached: true,
        stdio: ["ignore", "pipe", "pipe", "ipc"],
      });
      const signals = passSignals(child);
      showLog(child, options.json === true);
      const ended = endOf(child);
      const outcome = await Promise.race([ready(child, place), ended]);
      if (outcome !== "ready") throw daemonDied(outcome.how, "", place.logFile);
      await live(options, child, signals);
      const { code, how } = await ended;
      if (signals.count > 1) return EXIT.interrupted;
      if (code !== 0) throw daemonDied(how, "", place.logFile);
      return EXIT.done;
    }),
  );
}

/** A refusal that a person could have lifted ends it; any other may be mended by a save, so the daemon goes on. */
async function live(options: StartOptions, child: ChildProcess, signals: Signals): Promise<void> {
  try {
    await using client = await connect({ ...options, open: false });
    await inspectIfAsked(client, options);
    printLive(client, await goLive(client, options, signals.first), options.json);
  } catch (error) {
    if (signals.first.aborted) return;
    if (!(error instanceof LivedevError)) throw error;
    if (child.exitCode !== null || child.signalCode !== null) return;
    if (error.code === "connection.lost" || error.code === "daemon.notRunning") return;
    if (error.code === "stage.holdsCode" || error.code === "stage.notAgreed") {
      child.kill("SIGTERM");
      throw error;
    }
    printError(error);
  }
}

function ready(child: ChildProcess, place: Place): Promise<"ready"> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(daemonDied(messageOf(error), "", place.logFile)));
    child.on("message", (message) => {
      if (!isDaemonMessage(message)) return;
      if (message.type === "ready") resolve("ready");
      else if (message.code === DAEMON_TAKEN) {
        const { file, project, stage } = locate({ project: place.project, stage: place.stage });
        reject(alreadyRunning(project, stage, file !== undefined && isAlive(file) ? file.pid : undefined));
      } else reject(new LivedevError(message.code, message.message, message.hint));
    });
  });
}

type Ended = { readonly code: number | null; readonly how: string };

/** Behind the last line of its log, and behind what it said over the channel. */
function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      const ended = { code, how: signal === null ? `exit code ${code}` : signal };
      setImmediate(() => resolve(ended));
    });
  });
}

/** Going live is given up at the first; the rest is for the daemon to answer. */
type Signals = { readonly count: number; readonly first: AbortSignal };

function passSignals(child: ChildProcess): Signals {
  const first = new AbortController();
  const signals = { count: 0, first: first.signal };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      signals.count += 1;
      if (signals.count === 1 && signal === "SIGINT") note("Stopping; Ctrl-C again ends it at once.");
      child.kill(signal);
      first.abort();
    });
  }
  return signals;
}

/** It writes daemon.log by itself. */
function showLog(child: ChildProcess, raw: boolean): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on("line", (line) =>
      note(raw ? line : daemonLine(line, process.stderr)),
    );
  }
}
