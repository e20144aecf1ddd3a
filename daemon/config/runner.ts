/**
 * The program dist/config-runner.mjs: evaluates one bundled livedev.config.ts and hands its result back by IPC, as
 * plain data. It runs in a process of its own, because a config may throw, hang, print and exit as it likes.
 */
import { Worker } from "node:worker_threads";

import { EVALUATION, type Evaluation } from "../../proto/app.ts";
import type { Evaluate, Evaluated, RawComponent } from "./messages.ts";
import { placeOf } from "./place.ts";
import { plain } from "./plain.ts";

/** The daemon ends an evaluation after 10 seconds. Were it killed itself, this thread does, whatever the config is at. */
const LAST_RESORT_MS = 30_000;
new Worker(`setTimeout(() => process.kill(process.pid, "SIGKILL"), ${LAST_RESORT_MS})`, {
  eval: true,
}).unref();

/** Kept, since the config gets neither. */
const exit = process.exit.bind(process);
const send = process.send?.bind(process);
if (send === undefined) throw new Error("config-runner is started by livedev");

// Components are often made by helpers of helpers; the config's own line should still be on the stack.
Error.stackTraceLimit = 50;

process.once("disconnect", () => exit(1));
process.once("message", (message) => void evaluate(message as Evaluate));

async function evaluate(order: Evaluate): Promise<void> {
  const { project, stage, dev } = order;
  let during: Extract<Evaluated, { type: "failed" }>["during"] = "load";
  const failed = (error: unknown) => finish(failure(error, during, project));
  process.on("uncaughtException", failed);
  takeAway();
  for (const name of Object.keys(process.env)) delete process.env[name];
  Object.assign(process.env, order.environment);
  process.chdir(project);

  const evaluation: Evaluation = { stage, dev, components: [] };
  Object.assign(globalThis, { [EVALUATION]: evaluation });
  try {
    const sdk: Record<string, unknown> = await import(order.sdk);
    const { $app, $config, $dev, $interpolate, $concat, $jsonStringify, $resolve, aws, sst } = sdk;
    const forOutputs = { $interpolate, $concat, $jsonStringify, $resolve };
    Object.assign(globalThis, { $app, $config, $dev, ...forOutputs, aws, sst });

    const { default: config }: { default?: unknown } = await import(order.bundle);
    if (config === undefined) return finish({ type: "misshapen", how: "noDefault" });
    if (!isConfig(config)) return finish({ type: "misshapen", how: "notConfig" });

    during = "app";
    const app: unknown = await config.app({ stage });
    if (typeof app === "object" && app !== null) evaluation.app = app as NonNullable<Evaluation["app"]>;

    // Without an app there are no names for components; the daemon says what is missing.
    during = "run";
    const outputs: unknown = evaluation.app === undefined ? undefined : await config.run();
    during = "later";

    const components = evaluation.components.map((component): RawComponent => {
      const place = placeOf(component.stack, project);
      return {
        kind: component.kind,
        name: plain(component.name),
        args: plain(component.args),
        options: plain(component.options),
        ...(place && { place }),
      };
    });
    finish({ type: "evaluated", app: plain(app), outputs: plain(outputs), components });
  } catch (error) {
    failed(error);
  }
}

/** The channel is ours, and an exit is reported with the line that asked for it. */
function takeAway(): void {
  Object.assign(process, {
    send: undefined,
    exit: (code?: number) => {
      throw new Error(`the config called process.exit(${code ?? ""}); return from run() instead`);
    },
  });
}

let finished = false;

function finish(result: Evaluated): void {
  if (finished) return;
  finished = true;
  // Behind the callback, since an exit does not wait for the channel.
  send?.(result, undefined, undefined, () => exit(0));
}

function failure(
  error: unknown,
  during: Extract<Evaluated, { type: "failed" }>["during"],
  project: string,
): Evaluated {
  const isError = error instanceof Error;
  const stack = isError ? (error.stack ?? "") : "";
  const place = placeOf(stack, project);
  return {
    type: "failed",
    during,
    message: isError
      ? error.message
      : `it threw ${typeof error === "string" ? error : JSON.stringify(error)}`,
    stack,
    ...(place && { place }),
  };
}

type ConfigLike = { app(input: { stage: string }): unknown; run(): unknown };

function isConfig(value: unknown): value is ConfigLike {
  if (typeof value !== "object" || value === null) return false;
  return (
    "app" in value && typeof value.app === "function" && "run" in value && typeof value.run === "function"
  );
}
