import type { Command } from "commander";

import { connect } from "../connect.ts";
import type { Cli, Common } from "./cli.ts";
import { goLive, printLive } from "./live.ts";

export type StartOptions = Common & { readonly yes?: boolean; readonly takeOver?: boolean };

export function startCommand(cli: Cli): Command {
  return withYes(
    cli.command(
      "start",
      "Starts the daemon in the background, unless it runs, and puts the stage's stubs in place.",
      [
        ["livedevd start", "the project you are in, on your own stage"],
        ["livedevd start --stage pr-12", "another stage"],
        ["livedevd start --take-over", "a stage that another machine holds"],
        ["livedevd start --json", "the last line: { urls, pid, stage, project, steps, tookMs }"],
      ],
    ),
  ).action(cli.action<StartOptions>(({ options }) => startAndGoLive(cli, options)));
}

export async function startAndGoLive(cli: Cli, options: StartOptions): Promise<void> {
  await using client = await connect({ ...options, signal: cli.signal });
  printLive(client, await goLive(client, options, cli.signal), options.json);
}

export function withYes(command: Command): Command {
  return command
    .option("-y, --yes", "agree that stubs replace deployed code, which is asked the first time")
    .option("--take-over", "take the stage from the machine that holds it; what runs there finishes there");
}
