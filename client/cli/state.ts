import { readFile } from "node:fs/promises";

import type { Command } from "commander";

import { connect } from "../connect.ts";
import { fileUnreadable, LivedevError, messageOf, stateForeign, stateNotJson } from "../errors.ts";
import type { Cli, Common } from "./cli.ts";
import { print, printJson } from "./output.ts";

export function stateCommand(cli: Cli): Command {
  const state = cli.bare("state", "What is kept of a stage beside its resources' tags: export and import.", [
    ["livedev state export > state.json", "as JSON"],
    ["livedev state import state.json", "puts it in place of the stage's"],
  ]);
  state.addCommand(exportCommand(cli));
  state.addCommand(importCommand(cli));
  return state;
}

function exportCommand(cli: Cli): Command {
  return cli
    .command("export", "Prints the stage's state as JSON.", [
      ["livedev state export --stage production > state.json", "null where nothing was deployed"],
    ])
    .action(
      cli.action<Common>(async ({ options }) => {
        await using client = await connect({ ...options, signal: cli.signal });
        const state = await client.call("stage.exportState", {}, { signal: cli.signal });
        if (options.json === true) printJson(state);
        else print(JSON.stringify(state, undefined, 2));
      }),
    );
}

function importCommand(cli: Cli): Command {
  return cli
    .command("import", "Puts an exported state in place of the stage's.", [
      ["livedev state import state.json --stage production", "what stands in AWS is not touched"],
    ])
    .argument("<file>", "as `livedev state export` wrote it")
    .action(
      cli.action<Common>(async ({ args: [file = ""], options }) => {
        const state = await parsed(file);
        await using client = await connect({ ...options, signal: cli.signal });
        try {
          await client.call("stage.importState", { state: state as never }, { signal: cli.signal });
        } catch (error) {
          // Its parameters alone were refused: the method is there.
          const reason = /^livedevd refused \S+ Invalid params: (.*)\.$/s.exec(messageOf(error))?.[1];
          if (reason === undefined || !(error instanceof LivedevError)) throw error;
          throw stateForeign(file, reason);
        }
        if (options.json === true) printJson({});
        else print(`The state of ${client.hello.stage} is imported.`);
      }),
    );
}

async function parsed(file: string): Promise<unknown> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw fileUnreadable(file, error);
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw stateNotJson(file, error);
  }
}
