import type { Command } from "commander";

import type { RpcResult } from "../../proto/rpc.ts";

import { connect } from "../connect.ts";
import { editSealed, noEditor, notEdited, type LivedevError } from "../errors.ts";
import type { LivedevClient } from "../client.ts";
import { canEdit, editJson } from "../editor.ts";
import { prettyJson } from "../payload.ts";
import { agree, canAsk } from "./ask.ts";
import type { Cli, Common } from "./cli.ts";
import { answerDiff } from "./diff.ts";
import { readEvent } from "./event-input.ts";
import { EXIT } from "./exit.ts";
import { printAnswer } from "./invoke.ts";
import { note, print, printJson } from "./output.ts";
import { showWait } from "./progress.ts";
import { duration } from "./time.ts";

type Options = Common & {
  readonly event?: string;
  readonly file?: string;
  readonly edit?: boolean;
  readonly diff?: boolean;
  readonly reveal?: boolean;
};

export function replayCommand(cli: Cli): Command {
  return cli
    .command(
      "replay",
      "Runs an invocation's event again, on today's code, in a worker here and without AWS. Exit code 4 where the function answers with an error.",
      [
        ["livedev replay 12", "by its number in `livedev history`, or its request id"],
        ["livedev replay 12 --diff", "how the answer differs from the one it got then"],
        ["livedev replay 12 --edit", "change the event first, in $VISUAL or $EDITOR"],
        ["livedev replay 12 --file other.json", "with another event"],
      ],
    )
    .argument("<id>", "its number in the list, or its request id")
    .option("--edit", "opens the event, nothing sealed, in your editor first")
    .option("--diff", "shows how the two answers differ, in place of the new one")
    .option("--reveal", "shows the answer as it was given, nothing sealed")
    .option("--event <json>", "another event")
    .option("--file <path>", "another event, from a file; - is stdin")
    .action(
      cli.action<Options>(async ({ args: [which = ""], options }) => {
        const { signal } = cli;
        if (options.edit === true && !canEdit()) throw noEditor();
        const given = await readEvent(options);
        const id = /^\d+$/.test(which) ? Number(which) : which;
        await using client = await connect({ ...options, signal });
        const event = options.edit === true ? await edited(client, id, given, signal) : given;
        const answer = await showWait(
          `Replaying ${which}`,
          options.json,
          client.call("invocation.replay", { id, ...(event === undefined ? {} : { event }) }, { signal }),
        );
        const exit = answer.status === "ok" ? EXIT.done : EXIT.functionError;
        const { text, sealed } = await answerOf(client, answer.id, options, answer.payload);
        const shown = { ...answer, payload: text, ...(sealed && { sealed }) };
        if (options.diff === true) await printDiff(client, id, { answer, shown }, options);
        else if (options.json === true) printJson(shown);
        else {
          printAnswer(text, exit, `${duration(answer.durationMs)}, invocation ${answer.id}`);
          if (sealed) note("Parts of it are sealed: --reveal shows them.");
        }
        return exit;
      }),
    );
}

/** `undefined`: left as it was, so that its very bytes run again. */
async function edited(
  client: LivedevClient,
  id: number | string,
  given: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const recorded = given ?? (await recordedEvent(client, id, signal));
  const before = `${prettyJson(recorded)}\n`;
  const again = async (error: LivedevError) => {
    if (!canAsk()) return false;
    note(error.message);
    return agree("Edit it again?", signal);
  };
  const after = await editJson(before, { signal, again });
  if (after === undefined) throw notEdited();
  return after === before ? given : after;
}

async function recordedEvent(
  client: LivedevClient,
  id: number | string,
  signal: AbortSignal,
): Promise<string> {
  const { event } = await client.call("invocation.get", { id, reveal: true }, { signal });
  if (event.sealed) throw editSealed(id);
  return event.text;
}

/** As history shows it; byte for byte where nothing of it is sealed. The event was somebody's, so may its answer be. */
async function answerOf(
  client: LivedevClient,
  id: number | string,
  { reveal }: Options,
  whole?: string,
): Promise<{ readonly text: string; readonly sealed: boolean }> {
  if (reveal === true && whole !== undefined) return { text: whole, sealed: false };
  const { answer } = await client.call("invocation.get", { id, reveal: reveal === true });
  const sealed = answer?.sealed === true;
  return { text: sealed ? answer.text : (whole ?? answer?.text ?? ""), sealed };
}

async function printDiff(
  client: LivedevClient,
  id: number | string,
  { answer, shown }: Record<"answer" | "shown", RpcResult<"invocation.replay">>,
  options: Options,
): Promise<void> {
  const old = await client.call("invocation.get", { id, reveal: true });
  const before = old.answer === undefined ? undefined : (await answerOf(client, id, options)).text;
  const same = answerDiff(old.answer?.text ?? "", answer.payload) === undefined;
  if (options.json === true) {
    printJson({ ...shown, before: before ?? null, same });
    return;
  }
  const diff = same ? undefined : answerDiff(before ?? "", shown.payload);
  const facts = `${old.status} then, ${answer.status} now, in ${duration(answer.durationMs)}, invocation ${answer.id}`;
  if (before === undefined) note("It got no answer then.");
  if (same) note(`The answers are the same (${facts}).`);
  else if (diff === undefined)
    note(`The answers differ in sealed parts alone: --reveal shows them (${facts}).`);
  else {
    print(diff);
    note(facts);
  }
}
