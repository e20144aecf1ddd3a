import { Option, type Command } from "commander";

import type { DaemonStatus } from "../../proto/rpc.ts";

import { connect } from "../connect.ts";
import { LivedevError, waitTimedOut } from "../errors.ts";
import { printEither, type Cli, type Common } from "./cli.ts";
import { holds, instead, named, neverThere, parseCondition, type Condition } from "./condition.ts";
import { showWait } from "./progress.ts";
import { duration, parseDuration } from "./time.ts";

type Options = Common & { readonly for: readonly Condition[]; readonly timeout: number };

/** Events that may change what a condition says. */
const TYPES = ["daemon.*", "config.*", "build.*", "worker.*", "deploy.*", "process.*"];

export function waitCommand(cli: Cli): Command {
  return cli
    .command(
      "wait",
      "Waits until all of what is named holds. Opens the daemon where none runs, and does not go live by itself.",
      [
        ["livedev wait --for live --timeout 60s", "in a script, before the tests"],
        ["livedev wait --for fn:MyApi=ready", "or broken, building, idle; fn:MyApi alone is ready"],
        ["livedev wait --for process:Web", "a frontend or service is ready; or =stopped, crashed, …"],
        ["livedev wait --for config --for live", "several: all of them"],
      ],
    )
    .requiredOption(
      "--for <condition>",
      "live, config, fn:<name>=<state>, process:<name>=<state>; may be given again",
      parseCondition,
    )
    .addOption(
      new Option("--timeout <time>", "how long, before exit code 1: 500ms, 60s, 5m")
        .argParser(parseDuration)
        .default(60_000, "60s"),
    )
    .action(
      cli.action<Options>(async ({ options }) => {
        const began = performance.now();
        await showWait(`Waiting for ${options.for.map(named).join(", ")}`, options.json, until(cli, options));
        const waitedMs = Math.round(performance.now() - began);
        printEither(
          options.json,
          { waitedMs, for: options.for.map(named) },
          () => `${options.for.map(named).join(", ")} after ${duration(waitedMs)}.`,
        );
      }),
    );
}

/** For one look, whatever the time-out: what holds already is never missed. */
const LOOK_MS = 2_000;
/** For a config that was just saved to be loaded; then a function or process that it does not define will not come. */
const GRACE_MS = 2_000;

/**
 * Status is asked once, and again when something happened or the connection is there again: subscribed first, so
 * that nothing falls between.
 */
async function until(cli: Cli, options: Options): Promise<void> {
  const began = performance.now();
  const late = new AbortController();
  const end = () => late.abort();
  let timer = setTimeout(end, Math.max(options.timeout, LOOK_MS));
  const signal = AbortSignal.any([cli.signal, late.signal]);
  let status: DaemonStatus | undefined;
  let wake = () => {};
  let changed = true;
  const look = () => {
    changed = true;
    wake();
  };
  signal.addEventListener("abort", look, { once: true });
  const grace = setTimeout(look, GRACE_MS);
  try {
    await using client = await connect({ ...options, signal, onConnection: look });
    await using _watching = await client.subscribe({ types: TYPES }, look);
    void client.closed.then(look);
    for (;;) {
      signal.throwIfAborted();
      changed = false;
      status = await client.call("daemon.status", {}, { signal }).catch((error: unknown) => {
        // Between two daemons: `onConnection` says when the next one is there.
        if (error instanceof LivedevError && /^(?:connection\.lost|daemon\.notRunning)$/.test(error.code))
          return undefined;
        throw error;
      });
      const now = status;
      if (now !== undefined && options.for.every((condition) => holds(condition, now))) return;
      const waited = performance.now() - began;
      const [missing] = options.for.flatMap((condition) => neverThere(condition, now));
      if (missing !== undefined && waited >= GRACE_MS) throw missing;
      clearTimeout(timer);
      timer = setTimeout(end, options.timeout - waited);
      if (!changed) await new Promise<void>((resolve) => (wake = resolve));
    }
  } catch (error) {
    if (!late.signal.aborted || cli.interrupted) throw error;
    throw waitTimedOut(
      duration(options.timeout),
      options.for.flatMap((condition) => instead(condition, status)),
    );
  } finally {
    clearTimeout(timer);
    clearTimeout(grace);
  }
}
