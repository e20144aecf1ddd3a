/** A component's own command: `deploy.command`, or a site's build, with its environment and links. */
import { spawn } from "node:child_process";
import { resolve } from "node:path";

import { resolveOutputs, type WantedApp, type WantedProcess } from "../../proto/app.ts";
import { commandFailed } from "../lib/errors.ts";
import type { Lookup } from "./stubs.ts";

/** What of it is shown when it fails. */
const TAIL = 4000;

export type Ran = { readonly url: string | undefined };

/** @throws LivedevError with the end of what it printed, where it fails. */
export async function runCommand(
  app: Pick<WantedApp, "name" | "stage">,
  component: WantedProcess,
  how: { readonly command: string; readonly directory: string },
  place: { readonly project: string; readonly lookup: Lookup; readonly signal: AbortSignal },
): Promise<Ran> {
  const { project, lookup, signal } = place;
  const child = spawn(how.command, {
    shell: true,
    cwd: resolve(project, how.directory),
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: what it started ends with it.
    detached: process.platform !== "win32",
    env: { ...process.env, ...variables(app, component, lookup) },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-TAIL * 4)));
  }
  const stop = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
    } catch {
      // It has ended meanwhile.
    }
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    const ended = await new Promise<string>((done, reject) => {
      child.once("error", reject);
      child.once("close", (code, by) => done(by ?? (code === 0 ? "" : `exit code ${code}`)));
    });
    signal.throwIfAborted();
    if (ended !== "")
      throw commandFailed(component.kind, component.name, how.command, ended, said.slice(-TAIL).trim());
  } finally {
    signal.removeEventListener("abort", stop);
  }
  return { url: said.match(/https?:\/\/[^\s"'<>]+/g)?.at(-1) };
}

function variables(
  app: Pick<WantedApp, "name" | "stage">,
  { environment, link }: WantedProcess,
  lookup: Lookup,
): Record<string, string> {
  const known = Object.entries(environment).flatMap(([name, value]): [string, string][] => {
    const text = resolveOutputs(value, lookup);
    return text === null ? [] : [[name, typeof text === "string" ? text : JSON.stringify(text)]];
  });
  return {
    SST_RESOURCE_App: JSON.stringify({ name: app.name, stage: app.stage }),
    ...Object.fromEntries(
      link.map(({ name, properties }) => [
        `SST_RESOURCE_${name}`,
        JSON.stringify(resolveOutputs(properties, lookup)),
      ]),
    ),
    ...Object.fromEntries(known),
  };
}
