/** A project to debug, what is done with it meanwhile, and who tells which of its lines something stands in. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import type { LivedevClient } from "../../client/connect.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import { Rig } from "../support/rig.ts";

/** By name: how long each may take. */
type Timeouts = Readonly<Record<string, string>>;

/** One of them is no ES module. */
const COMMONJS = "Common";
const LOOKED_MS = 1_500;

const config = (functions: readonly string[], timeouts: Timeouts) => `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "debugged", home: "local" }),
  async run() {
${functions
  .map(
    (name) =>
      `    new aws.Function("${name}", { handler: "src/${name}.handler", timeout: "${timeouts[name] ?? "60 seconds"}"${name === COMMONJS ? ', nodejs: { format: "cjs" }' : ""} });`,
  )
  .join("\n")}
  },
});
`;

export type Asked = { readonly fail?: boolean; readonly stop?: boolean };

/** `above`: lines that shift the rest. */
export const handler = (name: string, above = 0) => `${"// above\n".repeat(above)}
const loaded = "${name}"; // INIT
export async function handler(
  event: { fail?: boolean; stop?: boolean },
  context: { getRemainingTimeInMillis(): number },
) {
  const word = loaded + " ${above}"; // HERE
  if (event.stop) {
    console.log(word); // STOP
  }
  if (event.fail) throw new Error("as asked"); // FAIL
  return word;
}
`;

/** The line that says so, from 1. */
export function lineOf(text: string, mark: string): number {
  return text.split("\n").findIndex((line) => line.includes(`// ${mark}`)) + 1;
}

export const filesOf = (functions: readonly string[], timeouts: Timeouts = {}): Record<string, string> => ({
  "livedev.config.ts": config(functions, timeouts),
  ...Object.fromEntries(functions.map((name) => [`src/${name}.ts`, handler(name)])),
});

/** As `livedev init` writes it into a new project. */
export async function launchJson(rig: Rig): Promise<string> {
  const project = join(rig.root, "made");
  const { code, stderr } = await rig.livedev("init", "--project", project);
  if (code !== 0) throw new Error(stderr);
  return readFileSync(join(project, ".vscode", "launch.json"), "utf8");
}

/** Until a debugger is attached: nothing tells. */
export async function attached(client: LivedevClient): Promise<void> {
  for (;;) {
    const status = await client.call("debug.status", {});
    if (status.state === "on" && status.sessions > 0) return;
    await wait(10);
  }
}

/** A daemon that is live, with debugging on. */
export class Debugged implements AsyncDisposable {
  readonly rig: Rig;
  readonly client: LivedevClient;
  readonly port: number;
  readonly #events: LivedevEvent[] = [];
  readonly #waiting = new Set<() => void>();

  static async open(functions: readonly string[], timeouts: Timeouts = {}): Promise<Debugged> {
    const rig = Rig.open({ files: filesOf(functions, timeouts) });
    await rig.start();
    const client = await rig.connect();
    const status = await client.call("debug.on", { port: 0 });
    if (status.state === "off") throw new Error("debugging is off");
    const debugged = new Debugged(rig, client, status.port);
    await client.subscribe({}, (events) => {
      debugged.#events.push(...events.map(({ event }) => event));
      for (const look of debugged.#waiting) look();
    });
    return debugged;
  }

  private constructor(rig: Rig, client: LivedevClient, port: number) {
    this.rig = rig;
    this.client = client;
    this.port = port;
  }

  /** What was recorded since it is live. */
  get events(): readonly LivedevEvent[] {
    return this.#events;
  }

  /** The first such event, from the given place of `events` on. */
  async recorded<T extends LivedevEvent["type"]>(
    type: T,
    fits: (event: Extract<LivedevEvent, { type: T }>) => boolean = () => true,
    from = 0,
  ): Promise<Extract<LivedevEvent, { type: T }>> {
    type Found = Extract<LivedevEvent, { type: T }>;
    for (;;) {
      const found = this.#events.slice(from).find((event) => event.type === type && fits(event as Found));
      if (found !== undefined) return found as Found;
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look);
          resolve();
        };
        this.#waiting.add(look);
      });
    }
  }

  /** The whole way, through the cloud and the stub. */
  async invoke(functionName: string, event: Asked = {}): Promise<string> {
    return (await this.client.call("function.invoke", { functionName, event: JSON.stringify(event) }))
      .payload;
  }

  /** Many at once; in a worker of the daemon alone, since the cloud would start a process for each. */
  async invokeLocal(functionName: string, event: Asked = {}): Promise<string> {
    return (await this.client.call("function.invokeLocal", { functionName, event: JSON.stringify(event) }))
      .payload;
  }

  /**
   * Resolves when the next event runs it: an event within the first milliseconds may come before the watcher, and what
   * that does not tell is found by a look at the files, once in a second.
   */
  async save(name: string, above: number): Promise<string> {
    const text = handler(name, above);
    const from = this.#events.length;
    this.rig.save(`src/${name}.ts`, text);
    const built = this.recorded("build.finished", ({ functionName }) => functionName === name, from);
    await Promise.race([built, wait(LOOKED_MS)]);
    return text;
  }

  /** `kill -9`, and the next one is there. */
  async killDaemon(): Promise<void> {
    process.kill(this.rig.daemonPid(), "SIGKILL");
    await this.rig.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
    await this.rig[Symbol.asyncDispose]();
  }
}
