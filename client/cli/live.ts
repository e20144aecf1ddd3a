/** Goes live, and shows how: `livedevd start`, `restart` and `run` do the same and print the same. */
import type { LivedevEvent } from "../../proto/events.ts";

import type { LivedevClient } from "../client.ts";
import { LivedevError, needsYes, notAgreed } from "../errors.ts";
import { agree, canAsk } from "./ask.ts";
import { paint, print, printJson, table } from "./output.ts";
import { Progress } from "./progress.ts";
import { duration } from "./time.ts";

export type LiveOptions = {
  readonly yes?: boolean;
  readonly takeOver?: boolean;
  readonly newKey?: boolean;
  readonly json?: boolean;
  /** Who shows what happens does so in another way. */
  readonly quiet?: boolean;
  /** `false`: frontends and services are left alone. */
  readonly processes?: boolean;
};

export type WentLive = {
  readonly app: string;
  readonly urls: Readonly<Record<string, string>>;
  readonly steps: number;
  readonly tookMs: number;
};

/** The first time that stubs would replace deployed code, a person agrees, or `--yes` did. */
export async function goLive(
  client: LivedevClient,
  options: LiveOptions,
  signal: AbortSignal,
): Promise<WentLive> {
  using progress = new Progress("Going live", options.json === true || options.quiet === true);
  await using _watching = await client.subscribe(
    { types: ["config.*", "build.failed", "deploy.*"] },
    (events) => {
      for (const { event } of events) showDeployment(progress, event);
    },
  );
  const call = async (yes: boolean, newKey: boolean): Promise<WentLive> => {
    const takeOver = options.takeOver === true;
    const params = {
      ...(yes && { yes }),
      ...(takeOver && { takeOver }),
      ...(newKey && { newKey }),
      ...(options.processes === false && { processes: false }),
    };
    const live = await client.call("stage.goLive", params, { signal });
    // Known to the daemon once its config is loaded: not yet when it greeted us.
    const { app } = await client.call("daemon.status", {}, { signal });
    return { app, ...live };
  };
  try {
    return await call(options.yes === true, options.newKey === true);
  } catch (error) {
    if (!(error instanceof LivedevError) || error.code !== "stage.holdsCode") throw error;
    if (!canAsk() || options.json === true) throw needsYes(error);
    progress.pause();
    if (!(await agree(`${error.message}\nReplace it by stubs?`, signal))) throw notAgreed();
    progress.resume();
    // A new key was drawn before it was seen what the functions hold.
    return await call(true, false);
  }
}

/** Of going live, of a deployment, of a removal. */
export function showDeployment(progress: Progress, event: LivedevEvent): void {
  if (event.type === "config.loaded") progress.done("config loaded", event.tookMs);
  if (event.type === "build.failed") {
    progress.line(paint("yellow", `  ! ${event.functionName} does not build`, process.stderr));
  }
  if (event.type === "deploy.started") {
    progress.title(event.steps === 1 ? "Deploying, 1 step" : `Deploying, ${event.steps} steps`);
  }
  if (event.type === "deploy.stepped") progress.done(`${event.step} ${event.resource}`, event.tookMs);
}

export function printLive(client: LivedevClient, live: WentLive, json: boolean | undefined): void {
  const { stage, pid } = client.hello;
  if (json === true) {
    printJson({
      urls: live.urls,
      pid,
      stage,
      project: client.project,
      steps: live.steps,
      tookMs: live.tookMs,
    });
    return;
  }
  const took = duration(live.tookMs);
  const done = live.steps === 1 ? `1 step in ${took}` : `${live.steps} steps in ${took}`;
  const facts = `stage ${stage}, pid ${pid}, ${live.steps === 0 ? "all is up to date" : done}`;
  print(`${paint("bold", live.app)} is ${paint("green", "live")} ${paint("dim", `(${facts})`)}`);
  const urls = Object.entries(live.urls).map(([name, url]) => [name, paint("cyan", url)]);
  if (urls.length > 0) print(table(urls, "  "));
}
