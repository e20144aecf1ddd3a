import type { Command } from "commander";

import { connect } from "../connect.ts";
import { deployInterrupted } from "../errors.ts";
import type { Cli, Common } from "./cli.ts";
import { showDeployment } from "./live.ts";
import { inert, note, paint, print, printJson, table } from "./output.ts";
import { Progress } from "./progress.ts";
import { duration } from "./time.ts";

export function deployCommand(cli: Cli): Command {
  return cli
    .command(
      "deploy",
      "Deploys the functions' own code and everything else of the app. Ctrl-C stops between two steps; the next run goes on from there.",
      [
        ["livedev deploy --stage production", "with progress; the URLs first, then other outputs"],
        ["livedev deploy --json", "{ urls, outputs, steps, tookMs }"],
      ],
    )
    .action(
      cli.action<Common>(async ({ options }) => {
        await using client = await connect({ ...options, signal: cli.signal });
        const deployed = await (async () => {
          using progress = new Progress("Deploying", options.json);
          await using _watching = await client.subscribe(
            { types: ["build.failed", "deploy.*"] },
            (events) => {
              for (const { event } of events) showDeployment(progress, event);
            },
          );
          const stopped = () => note(deployInterrupted("The deployment"));
          cli.signal.addEventListener("abort", stopped, { once: true });
          return await client
            .call("stage.deploy", {}, { signal: cli.signal })
            .finally(() => cli.signal.removeEventListener("abort", stopped));
        })();
        if (options.json === true) return printJson(deployed);
        const { urls, outputs, steps, tookMs } = deployed;
        // Known to the daemon once its config is loaded: not yet when it greeted us.
        const { app, stage } = await client.call("daemon.status", {}, { signal: cli.signal });
        const done = steps === 0 ? "nothing to do" : steps === 1 ? "1 step" : `${steps} steps`;
        note(`${app} is deployed to ${stage}: ${done} in ${duration(tookMs)}`);
        const rows = [
          ...Object.entries(urls).map(([name, url]) => [name, paint("cyan", url)]),
          ...Object.entries(outputs).map(([name, value]) => [name, inert(shown(value))]),
        ];
        if (rows.length > 0) print(table(rows));
      }),
    );
}

const shown = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));
