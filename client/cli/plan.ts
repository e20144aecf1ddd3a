import type { Command } from "commander";

import type { PlannedStep, StagePlan } from "../../proto/rpc.ts";
import { connect } from "../connect.ts";
import type { Cli, Common } from "./cli.ts";
import { inert, note, paint, print, printJson } from "./output.ts";
import { Progress } from "./progress.ts";

type Options = Common & { readonly dev?: boolean };

export function planCommand(cli: Cli): Command {
  return cli
    .command(
      "plan",
      "Shows what `livedev deploy` would change, and what was changed behind its back. Changes nothing.",
      [
        ["livedev plan --stage production", "a readable diff"],
        ["livedev plan --dev", "what going live would change, in place of a deployment"],
        ["livedev plan --json", "{ steps, commands, notes }"],
      ],
    )
    .option("--dev", "what `livedevd start` would change")
    .action(
      cli.action<Options>(async ({ options }) => {
        await using client = await connect({ ...options, signal: cli.signal });
        const plan = await planned(() =>
          client.call("stage.plan", options.dev === true ? { dev: true } : {}, { signal: cli.signal }),
        );
        if (options.json === true) printJson(plan);
        else {
          print(planText(plan));
          for (const text of plan.notes) note(inert(text));
        }
      }),
    );
}

async function planned(ask: () => Promise<StagePlan>): Promise<StagePlan> {
  using _progress = new Progress("Comparing");
  return await ask();
}

const SIGNS = { create: ["green", "+"], update: ["yellow", "~"], delete: ["red", "-"] } as const;

export function planText({ steps, commands }: StagePlan): string {
  const lines = steps.flatMap((step) => [stepLine(step), ...step.changes.map(changeLine)]);
  const runs = commands.map(
    ({ resource, command }) => `${paint("cyan", ">")} ${resource}: ${inert(command)}`,
  );
  const count = (kind: PlannedStep["step"]) => steps.filter(({ step }) => step === kind).length;
  const counts = `${count("create")} to create, ${count("update")} to update, ${count("delete")} to delete`;
  if (steps.length + commands.length === 0) return "Nothing to do: all stands as the config says.";
  return [
    ...lines,
    ...runs,
    "",
    `${counts}${commands.length > 0 ? `, ${commands.length} to run` : ""}.`,
  ].join("\n");
}

function stepLine({ step, resource, drift }: PlannedStep): string {
  const [colour, sign] = SIGNS[step];
  return `${paint(colour, sign)} ${resource}${drift ? paint("yellow", "  changed outside of livedev") : ""}`;
}

function changeLine({ what, from, to }: PlannedStep["changes"][number]): string {
  if (from === undefined && to === undefined) return `    ${what}`;
  if (from === undefined) return `    ${what}: ${inert(to ?? "")}`;
  return `    ${what}: ${inert(from)} → ${inert(to ?? "")}`;
}
