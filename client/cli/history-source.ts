/**
 * History, from the daemon where one runs, else from its file: reading starts nothing. Both answer alike. The file
 * is read by a program of its own, since the CLI holds no SQLite.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import type { RpcMethod, RpcParams, RpcResult } from "../../proto/rpc.ts";

import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import { locate } from "../discovery.ts";
import {
  functionMissing,
  LivedevError,
  messageOf,
  noHistory,
  noSuchInvocation,
  programFailed,
} from "../errors.ts";
import { HISTORY_PROGRAM } from "../programs.ts";
import type { Cli, Common } from "./cli.ts";

/** In the state directory. */
export const HISTORY_FILE = "history.db";

/** The questions that both can answer, and what the reader's program calls them. */
const READER = {
  "invocation.list": "invocations",
  "invocation.get": "invocation",
  "event.list": "events",
} as const satisfies Partial<Record<RpcMethod, string>>;

export type HistoryMethod = keyof typeof READER;

export class HistorySource implements AsyncDisposable {
  /** Absent: read from the file. */
  readonly client: LivedevClient | undefined;
  readonly #file: string;
  readonly #signal: AbortSignal;

  private constructor(client: LivedevClient | undefined, file: string, signal: AbortSignal) {
    this.client = client;
    this.#file = file;
    this.#signal = signal;
  }

  /** `daemon`: one is opened where none runs. */
  static async open(cli: Cli, options: Common, { daemon = false } = {}): Promise<HistorySource> {
    const { signal } = cli;
    try {
      const client = await connect({
        ...options,
        open: daemon,
        ...(!daemon && { environment: {} }),
        signal,
      });
      return new HistorySource(client, "", signal);
    } catch (error) {
      if (!(error instanceof LivedevError) || error.code !== "daemon.notRunning") throw error;
      const file = join(locate(options).stateDir, HISTORY_FILE);
      if (!existsSync(file)) throw noHistory(file);
      return new HistorySource(undefined, file, signal);
    }
  }

  async ask<M extends HistoryMethod>(method: M, params: RpcParams<M>): Promise<RpcResult<M>> {
    if (this.client !== undefined) return this.client.call(method, params, { signal: this.#signal });
    const result = await read(this.#file, READER[method], params, this.#signal);
    if (result === undefined && "id" in params) throw noSuchInvocation(String(params.id));
    return result as RpcResult<M>;
  }

  /** For who asked about a function and found nothing: one that is not in the config was mistyped, or has gone. */
  async expectFunction(name: string, orProcess = false): Promise<void> {
    if (this.client === undefined) return;
    const options = { signal: this.#signal };
    const functions = await this.client.call("function.list", {}, options);
    const processes = orProcess ? await this.client.call("process.list", {}, options) : [];
    const names = [...functions, ...processes].map((one) => one.name);
    if (names.length > 0 && !names.includes(name)) throw functionMissing(name, names, orProcess);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client?.close();
  }
}

async function read(file: string, method: string, params: unknown, signal: AbortSignal): Promise<unknown> {
  const child = spawn(process.execPath, [HISTORY_PROGRAM, file, method], {
    stdio: ["pipe", "pipe", "pipe"],
    signal,
  });
  // What is searched for may be a secret: a command line is for all to see. A reader that died says so itself.
  child.stdin.on("error", () => {}).end(JSON.stringify(params));
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  await new Promise<void>((resolve, reject) => {
    child.on("error", (error) =>
      reject(signal.aborted ? error : programFailed(HISTORY_PROGRAM, messageOf(error))),
    );
    child.on("close", () => resolve());
  });
  const reply = parseReply(Buffer.concat(out).toString());
  if (reply === undefined)
    throw programFailed(HISTORY_PROGRAM, Buffer.concat(err).toString().trim() || "it said nothing");
  if (reply.error === undefined) return reply.result;
  const { code, message, hint } = reply.error;
  if (code === undefined) throw new Error(message);
  throw new LivedevError(code, message, hint);
}

type Reply = {
  readonly result?: unknown;
  readonly error?: { readonly code?: string; readonly message: string; readonly hint?: string };
};

function parseReply(text: string): Reply | undefined {
  try {
    return JSON.parse(text) as Reply;
  } catch {
    return undefined;
  }
}
