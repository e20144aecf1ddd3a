import type { Command } from "commander";

import { connect } from "../connect.ts";
import { locate } from "../discovery.ts";
import { printEither, type Cli, type Common } from "./cli.ts";
import { startAndGoLive, withYes, type StartOptions } from "./start.ts";
import { stopAt } from "./stop.ts";

export function restartCommand(cli: Cli): Command {
  return withYes(
    cli.command(
      "restart",
      "Stops the daemon and starts it again; live stays live. Stubs wait for it meanwhile. Where none runs it does what `start` does.",
      [
        ["livedevd restart", "after an update of livedev, or of the AWS profile in your shell"],
        ["livedevd restart --json", "the last line as `livedevd start` prints it"],
      ],
    ),
  ).action(
    cli.action<StartOptions>(async ({ options }) => {
      const wasLive = await isLive(cli, options);
      const stopped = await stopAt(cli, locate(options), { restarting: true });
      if (stopped.state === "notRunning" || wasLive) return startAndGoLive(cli, options);
      await using client = await connect({ ...options, onOpening: undefined, signal: cli.signal });
      const { pid, stage } = client.hello;
      printEither(
        options.json,
        { urls: {}, pid, stage, project: client.project, steps: 0, tookMs: 0, live: false },
        () =>
          `livedevd runs again (pid ${pid}, stage ${stage}). It was not live, and is not now: \`livedevd start\`.`,
      );
    }),
  );
}

/** One that cannot tell, of another protocol perhaps, is taken for live: that is what a daemon is for. */
async function isLive(cli: Cli, options: Common): Promise<boolean> {
  try {
    await using client = await connect({ ...options, open: false, environment: {}, signal: cli.signal });
    const { live } = await client.call("daemon.status", {}, { signal: cli.signal });
    return live.state !== "off";
  } catch {
    cli.signal.throwIfAborted();
    return true;
  }
}
