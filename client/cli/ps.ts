import type { Command } from "commander";

import { connect } from "../connect.ts";
import type { Cli, Common } from "./cli.ts";
import { note, print, printJson } from "./output.ts";
import { processTable } from "./process-text.ts";

export function psCommand(cli: Cli): Command {
  return cli
    .command(
      "ps",
      "Frontends, services and commands: their state, processor time, memory and URL. Starts nothing.",
      [
        ["livedev ps", "of whole trees; 100 % is one core"],
        ["livedev ps --json | jq -r 'select(.state==\"ready\").url'", "one JSON value a line"],
      ],
    )
    .action(
      cli.action<Common>(async ({ options }) => {
        const { signal } = cli;
        await using client = await connect({ ...options, open: false, environment: {}, signal });
        const processes = await client.call("process.list", { usage: true }, { signal });
        if (options.json === true) for (const one of processes) printJson(one);
        else if (processes.length > 0) print(processTable(processes));
        else
          note(
            "No process is supervised: the config names none, or nobody has gone live (`livedevd start`).",
          );
      }),
    );
}
