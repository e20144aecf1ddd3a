/**
 * The local cloud: opens its parts in order, wires them, closes them in reverse. A program of its own, which outlives
 * the daemon that started it, as an account does.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { cloudPortTaken, cloudRunning, codeOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { Refusals } from "../lib/refusals.ts";
import { deferred, Scope } from "../lib/scope.ts";
import { Leftovers } from "../runtime/leftovers.ts";
import { Api } from "./api.ts";
import { AsyncInvokes } from "./async-invokes.ts";
import { CodeStore } from "./code-store.ts";
import { Environments, type Limits } from "./environments.ts";
import { FunctionLogs } from "./function-logs.ts";
import { FunctionUrls } from "./function-urls.ts";
import { functionUrl } from "./lambda-urls.ts";
import { takeLock } from "./lock.ts";
import { processIdentity } from "../lib/process-identity.ts";
import { S3Store } from "./s3-store.ts";
import type { CloudStatus, Serving } from "./serving.ts";
import { StateFile } from "./state-file.ts";
import type { FunctionCode } from "./state.ts";

export type CloudOptions = {
  readonly stateDir: string;
  /** Absent: as before, and the first time any. */
  readonly port?: number;
  /** Of a new account; an old one keeps its own. */
  readonly region: string;
  readonly limits: Limits;
  /** Before the first retry of an asynchronous invocation; the second waits twice as long. */
  readonly asyncRetryMs: number;
  readonly log: Log;
};

export class Cloud {
  readonly serving: Serving;
  readonly #scope: Scope;

  private constructor(scope: Scope, serving: Serving) {
    this.#scope = scope;
    this.serving = serving;
  }

  static async open(options: CloudOptions): Promise<Cloud> {
    const scope = new Scope();
    try {
      return await openIn(scope, options, (serving) => new Cloud(scope, serving));
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }
}

async function openIn(
  scope: Scope,
  options: CloudOptions,
  made: (serving: Serving) => Cloud,
): Promise<Cloud> {
  const { stateDir, log } = options;
  const { heldBy } = await takeLock(stateDir);
  if (heldBy !== undefined) throw cloudRunning(stateDir, heldBy.pid);
  const leftovers = await Leftovers.open({ folder: join(stateDir, "environments"), log });

  const states = await StateFile.open({
    stateDir,
    region: options.region,
    onBroken: (movedTo) =>
      log.error({ movedTo }, "the state file was broken: moved aside, a new account begins"),
  });
  scope.defer(() => states.settled());
  const codes = await CodeStore.open(stateDir);
  const s3 = await S3Store.open(stateDir);
  const logs = scope.use(await FunctionLogs.open({ dir: join(stateDir, "logs"), log }));
  const refusals = new Refusals();
  // Known once the API listens, before anything can be invoked.
  let endpoint = "";
  const environments = scope.use(
    Environments.open({
      leftovers,
      states,
      codes,
      endpoint: () => endpoint,
      limits: options.limits,
      write: (name, line) => logs.write(name, line),
      onRefused: refusals.at("a Runtime API of the local cloud"),
      log,
    }),
  );
  const listening = deferred<void>();
  const later = scope.use(
    await AsyncInvokes.open({
      stateDir,
      environments,
      states,
      firstRetryMs: options.asyncRetryMs,
      ready: listening.promise,
      log,
    }),
  );
  const invoker = {
    invoke: environments.invoke.bind(environments),
    invokeLater: later.add.bind(later),
  };
  const urls = scope.use(
    FunctionUrls.open({ states, invoker, onRefused: refusals.at("a function URL"), log }),
  );
  // Whoever changed the state need not wait until old packages are gone.
  let collected = Promise.resolve();
  scope.defer(() => collected);
  const links = new CodeLinks(states, codes, () => endpoint);

  const changed = async () => {
    environments.apply();
    await urls.apply();
    collected = codes
      .collect(() => [
        ...Object.values(states.state.functions).map(({ code }) => code),
        ...environments.codes(),
      ])
      .catch((error: unknown) => log.warn({ err: error }, "old packages could not be removed"));
  };
  const status = (): CloudStatus => ({
    ...serving,
    functions: Object.values(states.state.functions).map((lambda) => ({
      name: lambda.name,
      arn: lambda.arn,
      ...(lambda.url !== undefined && {
        url: functionUrl(lambda.url),
        urlError: urls.error(lambda.url.port),
      }),
      ...environments.status(lambda.arn),
    })),
    environments: environments.count,
    queued: environments.queued,
    asyncPending: later.pending,
    refusals: refusals.list(),
  });
  const port = options.port ?? states.state.port;
  const api = scope.use(
    await Api.open({
      parts: { states, codes, invoker, urls, codeUrl: (code) => links.make(code), changed },
      s3,
      port,
      status,
      onRefused: refusals.at("the local cloud's API"),
      codeFile: (target) => links.read(target),
      log,
    }).catch((error: unknown) => {
      throw codeOf(error) === "EADDRINUSE" ? cloudPortTaken(port) : error;
    }),
  );
  endpoint = `http://127.0.0.1:${api.port}`;
  if (states.state.port !== api.port) await states.update((draft) => void (draft.port = api.port));
  await changed();
  listening.resolve();

  const { region, accountId, accessKeyId, secretAccessKey } = states.state;
  const identity = processIdentity(process.pid) ?? "";
  const serving = {
    endpoint,
    region,
    accountId,
    accessKeyId,
    secretAccessKey,
    stateDir,
    pid: process.pid,
    identity,
  };
  await announce(scope, stateDir, serving);
  return made(serving);
}

/** Where clients find the cloud; there while it serves. */
async function announce(scope: Scope, stateDir: string, serving: Serving): Promise<void> {
  const file = join(stateDir, "serving.json");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, `${JSON.stringify(serving, null, 2)}\n`, { mode: 0o600 });
  await rename(`${file}.new`, file);
  scope.defer(() => rm(file, { force: true }));
}

/** GetFunction's `Code.Location`: a link that works without keys for ten minutes, as AWS's presigned one. */
class CodeLinks {
  readonly #states: StateFile;
  readonly #codes: CodeStore;
  readonly #endpoint: () => string;

  constructor(states: StateFile, codes: CodeStore, endpoint: () => string) {
    this.#states = states;
    this.#codes = codes;
    this.#endpoint = endpoint;
  }

  make(code: FunctionCode): string {
    const key = Buffer.from(code.sha256, "base64").toString("hex");
    const expires = String(Date.now() + 600_000);
    return `${this.#endpoint()}/livedev/code/${key}.zip?expires=${expires}&signature=${this.#sign(key, expires)}`;
  }

  read(target: string): string | undefined {
    const match = /^\/livedev\/code\/([0-9a-f]{64})\.zip\?expires=(\d+)&signature=([0-9a-f]{64})$/.exec(
      target,
    );
    const [, key = "", expires = "", signature = ""] = match ?? [];
    const expected = this.#sign(key, expires);
    if (match === null || Number(expires) < Date.now()) return undefined;
    if (!timingSafeEqual(Buffer.from(expected), Buffer.from(signature))) return undefined;
    return this.#codes.zipFile({ sha256: Buffer.from(key, "hex").toString("base64"), size: 0 });
  }

  #sign(key: string, expires: string): string {
    return createHmac("sha256", this.#states.state.sessionKey).update(`code:${key}:${expires}`).digest("hex");
  }
}
