import type { Command } from "commander";

import type { Cli, Common } from "./cli.ts";
import { note, paint, print, printJson, table } from "./output.ts";
import { livingDaemons } from "./registry.ts";
import { duration } from "./time.ts";

export function listCommand(cli: Cli): Command {
  return cli
    .bare("list", "All your daemons that run now, of every project. Starts nothing.", [
      ["livedev list", "where they are, and for how long"],
      ["livedev list --json | jq -r .project", "one JSON value a line"],
    ])
    .option("--json", "print JSON, one value a line")
    .action(
      cli.action<Common>(async ({ options }) => {
        const daemons = livingDaemons();
        if (options.json === true) {
          for (const { project, stage, pid, livedevVersion, startedAt, socket } of daemons) {
            printJson({ project, stage, pid, version: livedevVersion, startedAt, socket });
          }
          return;
        }
        if (daemons.length === 0) {
          note("No daemon runs.");
          return;
        }
        const rows = daemons.map(({ project, stage, pid, livedevVersion, startedAt }) => [
          paint("bold", project),
          `stage ${stage}`,
          `pid ${pid}`,
          `up ${duration(Date.now() - startedAt)}`,
          `livedev ${livedevVersion}`,
        ]);
        print(table(rows));
      }),
    );
}
