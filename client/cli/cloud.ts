/**
 * `livedev cloud …` is the local cloud's own program, which knows its commands and options itself. What it does not
 * know are `--project` and `--stage`: the first names its state directory, the second changes nothing, since a
 * project's stages share one cloud.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";

import type { Command } from "commander";

import { STATE_FOLDER } from "../../proto/discovery.ts";

import { locate } from "../discovery.ts";
import { messageOf, programFailed, usage } from "../errors.ts";
import { withoutInherited } from "../inherited.ts";
import { CLOUD_PROGRAM } from "../programs.ts";
import type { Cli, Example } from "./cli.ts";
import { print } from "./output.ts";

const EXAMPLES: readonly Example[] = [
  ["livedev cloud start", "on a free port, the same again next time"],
  ['eval "$(livedev cloud env)"', "the AWS CLI and any SDK now talk to it"],
  ["livedev cloud status", "its functions and their URLs"],
  ["livedev cloud start --port 4566 --state-dir /tmp/cloud", "alone, without a project"],
];

export function cloudCommand(cli: Cli): Command {
  return cli
    .bare("cloud", "The local cloud: start | stop | status | env | serve. It also runs alone.", EXAMPLES)
    .helpOption(false)
    .argument("[cloud command...]")
    .allowUnknownOption()
    .passThroughOptions()
    .action(
      cli.action(async ({ args }) => {
        const code = await pass(cloudArguments(args));
        if (args.includes("--help") || args.includes("-h")) {
          print(`\nExamples:\n${EXAMPLES.map(([command, what]) => `  $ ${command}   # ${what}`).join("\n")}`);
        }
        return code;
      }),
    );
}

/** With a project's state directory in the place of its name. */
function cloudArguments(args: readonly string[]): string[] {
  const rest: string[] = [];
  let project: string | undefined;
  for (let at = 0; at < args.length; at += 1) {
    const [, name, joined] = /^--(project|stage)(?:=(.*))?$/s.exec(args[at] ?? "") ?? [];
    if (name === undefined) {
      rest.push(args[at] ?? "");
      continue;
    }
    if (joined === undefined) at += 1;
    const value = joined ?? args[at];
    if (value === undefined) throw usage(`option '--${name}' argument missing`, "livedev cloud");
    if (name === "project") project = value;
  }
  const elsewhere = rest.some((arg) => /^--state-dir(?:=|$)/.test(arg));
  if (project === undefined || elsewhere) return rest;
  return [...rest, "--state-dir", join(locate({ project }).project, STATE_FOLDER, "cloud")];
}

function pass(args: readonly string[]): Promise<number> {
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
