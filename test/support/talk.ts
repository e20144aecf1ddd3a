/** Programs under `livedev run`, and what happens to a function meanwhile. */
import { LambdaClient, UpdateFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";

import { findServing } from "../../daemon/cloud/serving.ts";
import type { Rig } from "./rig.ts";

/** A program that answers lines. */
export class Talk {
  readonly child: ChildProcess;
  #text = "";
  #wake = () => {};
  #stderr = "";

  constructor(rig: Rig, args: readonly string[]) {
    this.child = rig.spawn("livedev.js", ["run", ...args]);
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
      this.#wake();
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#stderr += text));
    this.child.on("exit", () => this.#wake());
  }

  async line(): Promise<string> {
    for (;;) {
      const [, line, rest] = /^([^\n]*)\n(.*)$/s.exec(this.#text) ?? [];
      if (line !== undefined) {
        this.#text = rest ?? "";
        return line;
      }
      if (this.child.exitCode !== null) throw new Error(`It ended: ${this.#stderr}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** What it answers to a line. */
  async say(line: string): Promise<string> {
    this.child.stdin?.write(`${line}\n`);
    return this.line();
  }

  async end(): Promise<number | null> {
    this.child.stdin?.end();
    return ended(this.child);
  }
}

export const ended = (child: ChildProcess) =>
  new Promise<number | null>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(child.exitCode);
    else child.once("exit", (code) => resolve(code));
  });

/** The local cloud's Lambda, as the developer. */
export async function lambdaOf(rig: Rig): Promise<LambdaClient> {
  const cloud = await findServing(join(rig.project, ".livedev", "cloud"));
  if (cloud === undefined) throw new Error("the local cloud does not run");
  const { endpoint, region, accessKeyId, secretAccessKey } = cloud;
  return new LambdaClient({ region, endpoint, credentials: { accessKeyId, secretAccessKey } });
}

/** A change of the function lets its sandboxes go; the next, which this event starts, has credentials of its own. */
export async function rotate(rig: Rig, functionName: string, event = "{}"): Promise<void> {
  const lambda = await lambdaOf(rig);
  const FunctionName = `shop-dev-${functionName}`;
  await lambda.send(
    new UpdateFunctionConfigurationCommand({ FunctionName, Description: String(Math.random()) }),
  );
  lambda.destroy();
  await using client = await rig.connect();
  const { functionError, payload } = await client.call("function.invoke", { functionName, event });
  if (functionError !== undefined) throw new Error(payload);
}
