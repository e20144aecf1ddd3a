/**
 * `livedev cloud …`: the local cloud is a program of its own, which this starts with what was written. `--project`
 * names its state directory; `--stage` changes nothing, since a project's stages share one cloud.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";

import type { Command } from "commander";

import { STATE_FOLDER } from "../../proto/discovery.ts";

import { locate } from "../discovery.ts";
import { messageOf, programFailed } from "../errors.ts";
import { withoutInherited } from "../inherited.ts";
import { CLOUD_PROGRAM } from "../programs.ts";
import type { Cli, Common, Example } from "./cli.ts";

type Options = Common & {
  readonly stateDir?: string;
  readonly [option: string]: string | boolean | undefined;
};

/** As its program spells them, and as it checks them. */
const SERVING: readonly (readonly [flags: string, what: string])[] = [
  ["--port <n>", "of the endpoint (default: as before, and the first time any)"],
  ["--region <name>", "of a new account (default: us-east-1)"],
  ["--concurrency <n>", "execution environments of one function (default: 20)"],
  ["--max-environments <n>", "execution environments in all (default: 100)"],
  ["--idle-ms <n>", "how long an idle environment is kept (default: 600000)"],
  ["--init-timeout-ms <n>", "how long a function's init code may take (default: 10000)"],
  ["--async-retry-ms <n>", "before an asynchronous invocation's first retry (default: 60000)"],
];

export function cloudCommand(cli: Cli): Command {
  const cloud = cli.bare(
    "cloud",
    "The local cloud: Lambda, IAM, S3 and STS on this machine. It also runs alone.",
    [
      ["livedev cloud start", "on a free port, the same again next time"],
      ['eval "$(livedev cloud env)"', "the AWS CLI and any SDK now talk to it"],
      ["livedev cloud status", "its functions and their URLs"],
    ],
  );
  const add = (
    name: string,
    description: string,
    examples: readonly Example[],
    more: typeof SERVING = [],
  ) => {
    const command = cli
      .command(name, description, examples)
      .option("--state-dir <folder>", "where it keeps everything (default: the project's, else the user's)");
    for (const [flags, what] of more) command.option(flags, what);
    // Its exit codes are ours: 3 where it does not run.
    cloud.addCommand(command.action(cli.action<Options>(({ options }) => pass(name, command, options))));
  };
  add(
    "start",
    "Starts it in the background, unless it runs.",
    [
      ["livedev cloud start", "the project's"],
      ["livedev cloud start --port 4566 --state-dir /tmp/cloud", "alone, without a project"],
    ],
    SERVING,
  );
  add("stop", "Stops it. Its functions and keys are kept.", [["livedev cloud stop", "until the next start"]]);
  add("status", "Whether it runs, and its functions. Exit code 3 where it does not.", [
    ["livedev cloud status --json | jq -r .endpoint", "for scripts"],
  ]);
  add("env", "Prints, for a shell, what points AWS clients at it.", [
    ['eval "$(livedev cloud env)"', "the AWS CLI and any SDK now talk to it"],
  ]);
  add(
    "serve",
    "Runs it in the foreground, with its log.",
    [["livedev cloud serve --port 4566", "for a process manager or a container"]],
    SERVING,
  );
  return cloud;
}

function pass(name: string, command: Command, { project, stateDir, ...options }: Options): Promise<number> {
  const args = command.options.flatMap((option) => {
    const flag = option.long ?? "";
    const value = options[option.attributeName()];
    if (value === undefined || flag === "--stage") return [];
    return value === true ? [flag] : [flag, String(value)];
  });
  const folder =
    stateDir ??
    (project === undefined ? undefined : join(locate({ project }).project, STATE_FOLDER, "cloud"));
  return run([name, ...args, ...(folder === undefined ? [] : ["--state-dir", folder])]);
}

function run(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [CLOUD_PROGRAM, ...args], {
    stdio: withoutInherited(["inherit", "inherit", "inherit"]),
  });
  // It decides when it ends, also where it serves in the foreground.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(programFailed(CLOUD_PROGRAM, messageOf(error))));
    child.on("close", (code) => resolve(code ?? 1));
  });
}
