/** `livedev start | stop | restart <names…>`: of frontends, services and commands. `livedevd`'s are of the daemon. */
import type { Command } from "commander";

import type { ProcessStatus, RpcMethod } from "../../proto/rpc.ts";

import { connect } from "../connect.ts";
import type { Cli, Common, Example } from "./cli.ts";
import { print, printJson } from "./output.ts";
import { processLine } from "./process-text.ts";

type Verb = Extract<RpcMethod, "process.start" | "process.stop" | "process.restart">;

export const startProcessCommand = (cli: Cli): Command =>
  verb(
    cli,
    "start",
    "process.start",
    "Starts frontends, services or commands, by name. The daemon itself: `livedevd start`.",
    [
      ["livedev start Studio", "one that does not start by itself"],
      ["livedev start Web Worker --json", "one JSON value a line"],
    ],
  );

export const stopProcessCommand = (cli: Cli): Command =>
  verb(
    cli,
    "stop",
    "process.stop",
    "Stops frontends, services or commands, with all that came of them: asked, then SIGTERM, then SIGKILL. The daemon itself: `livedevd stop`.",
    [
      ["livedev stop Web", "until `livedev start Web`, or the daemon starts anew"],
      ["livedev stop Web Worker --json", "one JSON value a line"],
    ],
  );

export const restartProcessCommand = (cli: Cli): Command =>
  verb(cli, "restart", "process.restart", "Stops frontends, services or commands and starts them again.", [
    ["livedev restart Web", "it gets its old port"],
    ["livedev restart Web Worker --json", "one JSON value a line"],
  ]);

function verb(
  cli: Cli,
  name: string,
  method: Verb,
  description: string,
  examples: readonly Example[],
): Command {
  return cli
    .command(name, description, examples)
    .argument("<process...>", "its name in the config")
    .action(
      cli.action<Common>(async ({ args, options }) => {
        const { signal } = cli;
        await using client = await connect({ ...options, open: false, signal });
        const call = (one: string): Promise<ProcessStatus> => client.call(method, { name: one }, { signal });
        for (const status of await Promise.all(args.map(call))) {
          if (options.json === true) printJson(status);
          else print(processLine(status));
        }
      }),
    );
}
