/**
 * `livedev run -- <command>`: a program with a function's links, environment and permissions, in this terminal. It is
 * ours in all but its environment: the same terminal, the same process group, its exit code, its signals.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";

import type { Command } from "commander";

import type { RpcResult } from "../../proto/rpc.ts";

import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import {
  codeOf,
  commandMissing,
  commandNotStarted,
  LivedevError,
  messageOf,
  restarted,
  waitsForChange,
} from "../errors.ts";
import { followAwsFiles, readAwsFiles } from "./aws-files.ts";
import { printError, type Cli, type Common } from "./cli.ts";
import { note } from "./output.ts";

type Options = Common & { readonly as?: string; readonly watch?: boolean };
type RunEnvironment = RpcResult<"environment.get">;

/** What may change what a command is given. */
const CHANGES = ["config.loaded", "deploy.finished", "secret.changed"];
/** Where it could not be told what a command is given now. */
const AGAIN_MS = 2_000;
/** From SIGTERM to SIGKILL, when `--watch` starts it anew. */
const PATIENCE_MS = 5_000;

/** They end a command, or tell it something; sent to us, they are meant for it. */
const PASSED_ON = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

export function runAsCommand(cli: Cli): Command {
  return cli
    .command(
      "run",
      "Runs a command with the app's links, or as a function: with its links, environment and permissions. Exit code: the command's own, 128 and the signal's number where a signal ended it.",
      [
        ["livedev run -- npx tsx scripts/seed.ts", "Resource.MyBucket.name in a script"],
        ["livedev run --as MyApi -- aws s3 ls", "with that function's permissions, not yours"],
        [
          "livedev run --watch -- npm run dev",
          "again when links, secrets, environment or your credentials change",
        ],
      ],
    )
    .option("--as <function>", "whose links, environment and permissions")
    .option("--watch", "starts it again when what it was given changes")
    .argument("<command...>", "behind --, so that its own options stay its own")
    .passThroughOptions()
    .action(
      cli.action<Options>(async ({ args, options }) => {
        if (options.watch === true) {
          await using client = await connect({ ...options });
          return await watched(client, args, options, await environmentFor(client, options));
        }
        const given = await once(options);
        return new Running(args, given).exit;
      }),
    );
}

/** The command may run for hours, and the daemon be another one by then. */
async function once(options: Options): Promise<RunEnvironment> {
  await using client = await connect({ ...options });
  return await environmentFor(client, options);
}

export function environmentFor(
  client: LivedevClient,
  { as }: { readonly as?: string },
): Promise<RunEnvironment> {
  return client.call("environment.get", { ...(as !== undefined && { as }), reveal: true });
}

/** Ends when we are asked to end; a command that ends by itself is started again with the next change. */
async function watched(
  client: LivedevClient,
  args: readonly string[],
  options: Options,
  first: RunEnvironment,
): Promise<number> {
  let given = first;
  let keys = readAwsFiles(process.env);
  let running = new Running(args, given);
  // Looked at once more when all of it is followed: what changed before is told by nobody.
  let changed = true;
  let failed: string | undefined;
  let wake = () => {};
  const look = () => {
    changed = true;
    wake();
  };
  await using _watching = await client.subscribe({ types: CHANGES }, look);
  using _files = followAwsFiles(process.env, look);
  for (;;) {
    const woken = new Promise<"changed">((resolve) => (wake = () => resolve("changed")));
    if (!changed && running.ended === undefined) await Promise.race([running.exit, woken]);
    if (running.asked !== undefined) return await running.exit;
    if (running.ended !== undefined && !changed) {
      note(waitsForChange(running.ended));
      const asked = askedToEnd();
      const end = await Promise.race([woken, asked.promise]);
      asked.forget();
      if (end !== "changed") return end;
    }
    changed = false;
    const now = await environmentFor(client, options).catch((error: unknown) => {
      // A config that is broken for a moment, AWS that does not answer: what runs goes on as it is.
      if (!(error instanceof LivedevError)) throw error;
      if (error.message !== failed) printError(error);
      failed = error.message;
      return undefined;
    });
    if (now === undefined) {
      setTimeout(look, AGAIN_MS).unref();
      continue;
    }
    failed = undefined;
    const keysNow = isDevelopers(now) ? readAwsFiles(process.env) : keys;
    if (keysNow === keys && JSON.stringify(now) === JSON.stringify(given)) continue;
    given = now;
    keys = keysNow;
    await running.stop();
    if (running.asked !== undefined) return await running.exit;
    note(restarted());
    running = new Running(args, given);
  }
}

/** Whether its credentials are the developer's own; a function's are asked for anew all the while, and need no restart. */
function isDevelopers({ variables }: RunEnvironment): boolean {
  return !("AWS_CONTAINER_CREDENTIALS_FULL_URI" in variables) && !("AWS_ACCESS_KEY_ID" in variables);
}

/** A program in this terminal, with what it is given. */
export class Running {
  readonly exit: Promise<number>;
  ended: number | undefined;
  /** The signal that asked us to end, and the command with us. */
  asked: NodeJS.Signals | undefined;
  readonly #child: ChildProcess;

  constructor([file = "", ...args]: readonly string[], given: RunEnvironment) {
    const child = spawn(file, args, { stdio: "inherit", env: environmentOf(given) });
    this.#child = child;
    const pass = (signal: NodeJS.Signals) => {
      if (signal !== "SIGUSR1" && signal !== "SIGUSR2") this.asked = signal;
      // A terminal sends Ctrl-C to the command too, and a second one means something else to many programs.
      if ((signal === "SIGINT" || signal === "SIGQUIT") && fromTerminal()) return;
      child.kill(signal);
    };
    for (const signal of PASSED_ON) process.on(signal, pass);
    this.exit = new Promise<number>((resolve, reject) => {
      child.once("error", (error) => {
        if (child.pid !== undefined) return;
        if (codeOf(error) === "ENOENT") note(commandMissing(file));
        else if (codeOf(error) === "EACCES") note(commandNotStarted(file, messageOf(error)));
        else reject(error);
        resolve(codeOf(error) === "ENOENT" ? 127 : 126);
      });
      child.once("exit", (code, signal) =>
        resolve(code ?? 128 + (constants.signals[signal ?? "SIGKILL"] ?? 0)),
      );
    }).then((code) => {
      for (const signal of PASSED_ON) process.off(signal, pass);
      this.ended = code;
      return code;
    });
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), PATIENCE_MS);
    await this.exit;
    clearTimeout(late);
  }
}

/** While nothing runs. */
function askedToEnd(): { readonly promise: Promise<number>; forget(): void } {
  let end: (signal: NodeJS.Signals) => void = () => {};
  const promise = new Promise<number>(
    (resolve) => (end = (signal) => resolve(128 + constants.signals[signal])),
  );
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, end);
  return {
    promise,
    forget: () => {
      for (const signal of signals) process.off(signal, end);
    },
  };
}

/** Whether what is typed at a terminal reaches us: then it reaches the command, which is in our process group. */
function fromTerminal(): boolean {
  try {
    // Behind the name, which may hold anything: state, parent, group, session, terminal, the terminal's group.
    const [, , group, , , foreground] = readFileSync("/proc/self/stat", "latin1")
      .split(") ")
      .at(-1)!
      .split(" ");
    return group === foreground;
  } catch {
    return process.stdin.isTTY;
  }
}

/** Ours, without what the command must not have, with what it is given, and with the project's own programs first. */
function environmentOf({ variables, unset, nodeOptions }: RunEnvironment): NodeJS.ProcessEnv {
  const names = new Set(unset.filter((name) => !name.endsWith("*")));
  const beginnings = unset.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  const kept = Object.entries(process.env).filter(
    ([name]) => !names.has(name) && !beginnings.some((beginning) => name.startsWith(beginning)),
  );
  const path = [...binFolders(process.cwd()), process.env["PATH"] ?? ""].join(delimiter);
  const environment: NodeJS.ProcessEnv = { ...Object.fromEntries(kept), PATH: path, ...variables };
  if (nodeOptions === undefined) return environment;
  const own = environment["NODE_OPTIONS"];
  return { ...environment, NODE_OPTIONS: own === undefined ? nodeOptions : `${own} ${nodeOptions}` };
}

/** As npm has them for its scripts: the nearest first. */
function binFolders(from: string): string[] {
  const folder = join(from, "node_modules", ".bin");
  const here = existsSync(folder) ? [folder] : [];
  const up = dirname(from);
  return up === from ? here : [...here, ...binFolders(up)];
}
