import type { Command } from "commander";

import type { DaemonStatus } from "../../proto/rpc.ts";

import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import type { Cli, Common } from "./cli.ts";
import { inspectIfAsked, withInspect, type InspectOptions } from "./debug.ts";
import { goLive, printLive } from "./live.ts";
import { note } from "./output.ts";
import { brokenText } from "./status.ts";

/** First builds take tens of milliseconds each; who has hundreds of functions need not wait for the last. */
const BUILDS_MS = 2_000;

export type StartOptions = Common &
  InspectOptions & { readonly yes?: boolean; readonly takeOver?: boolean; readonly newKey?: boolean };

export function startCommand(cli: Cli): Command {
  return withYes(
    cli.command(
      "start",
      "Starts the daemon in the background, unless it runs, and puts the stage's stubs in place.",
      [
        ["livedevd start", "the project you are in, on your own stage"],
        ["livedevd start --stage pr-12", "another stage"],
        ["livedevd start --take-over", "a stage that another machine holds"],
        ["livedevd start --new-key", "the stubs' key may be known to somebody"],
        ["livedevd start --inspect", "VS Code and Chrome attach to port 9229"],
        ["livedevd start --json", "the last line: { urls, pid, stage, project, steps, tookMs }"],
      ],
    ),
  )
    .option("--new-key", "give the stubs another key; the one before counts for 15 minutes more")
    .action(cli.action<StartOptions>(({ options }) => startAndGoLive(cli, options)));
}

export async function startAndGoLive(cli: Cli, options: StartOptions): Promise<void> {
  await using client = await connect({ ...options, onOpening: undefined, signal: cli.signal });
  await inspectIfAsked(client, options);
  printLive(client, await goLive(client, options, cli.signal), options.json);
  // Live it is all the same: what is mended answers with the next event.
  const broken = brokenText(await whenBuilt(client, cli.signal));
  if (broken !== "") note(`\n${broken}`);
}

/** The status, when nothing is being built any more; or as it is by then. */
async function whenBuilt(client: LivedevClient, signal: AbortSignal): Promise<DaemonStatus> {
  const patience = AbortSignal.timeout(BUILDS_MS);
  let woken = () => {};
  patience.addEventListener("abort", () => woken());
  await using _builds = await client.subscribe({ types: ["build.*"] }, () => woken());
  for (;;) {
    const changed = new Promise<void>((resolve) => (woken = resolve));
    const status = await client.call("daemon.status", {}, { signal });
    if (patience.aborted || status.functions.every(({ state }) => state !== "building")) return status;
    await changed;
  }
}

export function withYes(command: Command): Command {
  return withInspect(command)
    .option("-y, --yes", "agree that stubs replace deployed code, which is asked the first time")
    .option("--take-over", "take the stage from the machine that holds it; what runs there finishes there");
}
