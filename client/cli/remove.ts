import type { Command } from "commander";

import { connect } from "../connect.ts";
import { deployInterrupted, needsYesToRemove, notRemoved } from "../errors.ts";
import { agree, canAsk } from "./ask.ts";
import type { Cli, Common } from "./cli.ts";
import { showDeployment } from "./live.ts";
import { note, print, printJson } from "./output.ts";
import { Progress } from "./progress.ts";
import { duration } from "./time.ts";

type Options = Common & { readonly yes?: boolean };

export function removeCommand(cli: Cli): Command {
  return cli
    .command(
      "remove",
      "Deletes everything that livedev deployed to the stage, also when the config does not load any more.",
      [
        ["livedev remove --stage pr-12", "asks first"],
        ["livedev remove --stage pr-12 --yes", "in a script"],
      ],
    )
    .option("-y, --yes", "do not ask")
    .action(
      cli.action<Options>(async ({ options }) => {
        await using client = await connect({ ...options, signal: cli.signal });
        const { stage } = client.hello;
        if (options.yes !== true) {
          if (!canAsk() || options.json === true) throw needsYesToRemove(stage);
          if (!(await agree(`Delete everything of the stage ${stage}?`, cli.signal))) throw notRemoved();
        }
        const removed = await (async () => {
          using progress = new Progress("Removing", options.json);
          await using _watching = await client.subscribe({ types: ["deploy.*"] }, (events) => {
            for (const { event } of events) showDeployment(progress, event);
          });
          const stopped = () => note(deployInterrupted("The removal"));
          cli.signal.addEventListener("abort", stopped, { once: true });
          return await client
            .call("stage.remove", {}, { signal: cli.signal })
            .finally(() => cli.signal.removeEventListener("abort", stopped));
        })();
        if (options.json === true) return printJson(removed);
        const { steps, tookMs, kept } = removed;
        print(`${stage} is removed: ${steps === 1 ? "1 step" : `${steps} steps`} in ${duration(tookMs)}`);
        if (kept.length > 0) note(`Kept, by \`removal\` in the config: ${kept.join(", ")}`);
      }),
    );
}
