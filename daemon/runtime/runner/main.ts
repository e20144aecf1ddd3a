/**
 * The Node runner: a Lambda runtime like AWS's own, in user space.
 *
 * With `_HANDLER` and `LAMBDA_TASK_ROOT` in the environment it loads that handler. With `--spare` it waits for one
 * `load` message over IPC, and so has nothing left to do but that when the code is there.
 */
import { runBuffered } from "./buffered.ts";
import { RuntimeClient } from "./client.ts";
import { postedError } from "./errors.ts";
import { Lifecycle } from "./lifecycle.ts";
import { loadFromFile, loadFromTaskRoot, preload, type Handler } from "./load.ts";
import { become, hideChannel, openChannel } from "./spare.ts";
import { installAwslambda, isStreaming, runStreaming } from "./streaming.ts";
import { exit, writeError } from "./taken.ts";

const client = new RuntimeClient(process.env["AWS_LAMBDA_RUNTIME_API"] ?? "");
const spare = process.argv.includes("--spare");
process.argv.splice(2);

async function load(): Promise<Handler> {
  const channel = openChannel();
  const message = spare ? await channel.load : undefined;
  if (message !== undefined) become(message);
  hideChannel();
  cleanEnvironment();
  installAwslambda();
  if (message === undefined) {
    const { LAMBDA_TASK_ROOT: taskRoot = process.cwd(), _HANDLER: handler = "" } = process.env;
    return loadFromTaskRoot(taskRoot, handler);
  }
  for (const file of message.preload ?? []) await preload(file);
  return loadFromFile(message.handler.file, message.handler.export);
}

/** What is livedev's own is none of the user's code. */
function cleanEnvironment(): void {
  for (const name of Object.keys(process.env)) if (name.startsWith("LIVEDEV_")) delete process.env[name];
}

async function main(): Promise<void> {
  const lifecycle = new Lifecycle(client);
  let run: typeof runBuffered;
  let handler: Handler;
  try {
    handler = await load();
    run = isStreaming(handler) ? runStreaming : runBuffered;
  } catch (error) {
    if (lifecycle.dying) return;
    await client.initError(error);
    return exit(1);
  }
  while (!lifecycle.dying) {
    lifecycle.phase = { name: "between" };
    const invocation = await client.next();
    Object.assign(process.env, invocation.environment);
    await run(handler, invocation, client, lifecycle);
  }
}

// The Runtime API is gone, or refuses this runtime: there is nothing left to do, and perhaps nobody to tell.
main().catch((error: unknown) => {
  writeError(`${postedError(error).errorMessage}\n`, () => exit(1));
});
