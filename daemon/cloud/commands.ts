/** What the program's commands do, and what they print. Each gives its exit code. */
import { existsSync, realpathSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setInterval } from "node:timers/promises";

import { PROJECT_FILES } from "../../proto/discovery.ts";
import { cloudUsage } from "../lib/errors.ts";
import { openLog } from "../lib/log.ts";
import {
  askStatus,
  findServing,
  startServing,
  stopServing,
  type CloudStatus,
  type Serving,
} from "./serving.ts";

export const USAGE = `The local cloud: AWS Lambda, IAM and STS on this machine.

  livedev cloud start     start it in the background, unless it runs
  livedev cloud stop      stop it; its functions and keys are kept
  livedev cloud status    whether it runs, and its functions
  livedev cloud env       print what points AWS clients at it: eval "$(livedev cloud env)"
  livedev cloud serve     run it in the foreground

  --state-dir DIR         where it keeps everything
                          (default: .livedev/cloud of the project, else livedev/cloud in the user's state folder)
  --json                  print JSON
  --help                  print this

For start and serve:
  --port N                of the endpoint (default: as before, and the first time any)
  --region NAME           of a new account (default: us-east-1)
  --concurrency N         execution environments of one function (default: 20)
  --max-environments N    execution environments in all (default: 100)
  --idle-ms N             how long an idle environment is kept (default: 600000)
  --init-timeout-ms N     how long a function's init code may take (default: 10000)
  --async-retry-ms N      before an asynchronous invocation's first retry (default: 60000)

Exit codes: 0 done, 1 an error, 2 a wrong command line, 3 not running.`;

export type Options = {
  readonly stateDir: string;
  readonly json: boolean;
  readonly port: number | undefined;
  readonly region: string;
  readonly concurrency: number;
  readonly maxEnvironments: number;
  readonly idleMs: number;
  readonly initTimeoutMs: number;
  readonly asyncRetryMs: number;
  /** As given, for the process that `start` starts. */
  readonly serveArguments: readonly string[];
};

type Values = Readonly<Record<string, string | boolean | undefined>>;

export function readOptions(values: Values): Options {
  const number = (name: string, most: number) => readNumber(name, values[name], most);
  const region = String(values["region"] ?? "us-east-1");
  if (!/^[a-z]{2}-[a-z]+-\d$/.test(region)) throw cloudUsage(`--region ${region} is not a region's name.`);
  const { "state-dir": stateDir, json, help: _help, ...serve } = values;
  return {
    stateDir: typeof stateDir === "string" ? resolve(stateDir) : defaultStateDir(),
    json: json === true,
    port: number("port", 65_535),
    region,
    concurrency: number("concurrency", 1000) ?? 20,
    maxEnvironments: number("max-environments", 1000) ?? 100,
    idleMs: number("idle-ms", MAX_TIMER) ?? 600_000,
    initTimeoutMs: number("init-timeout-ms", MAX_TIMER) ?? 10_000,
    asyncRetryMs: number("async-retry-ms", MAX_TIMER / 2) ?? 60_000,
    serveArguments: Object.entries(serve).flatMap(([name, value]) => [`--${name}`, String(value)]),
  };
}

export const COMMANDS = {
  async start(options: Options): Promise<number> {
    const serving = await startServing(options.stateDir, options.serveArguments);
    print(
      options,
      shown(serving),
      () => `The local cloud serves at ${serving.endpoint} (pid ${serving.pid}).`,
    );
    return 0;
  },

  async stop(options: Options): Promise<number> {
    const serving = await findServing(options.stateDir);
    if (serving === undefined) return notRunning(options);
    await stopServing(serving);
    print(options, { stopped: true, pid: serving.pid }, () => "The local cloud has stopped.");
    return 0;
  },

  async status(options: Options): Promise<number> {
    const serving = await findServing(options.stateDir);
    if (serving === undefined) return notRunning(options);
    const { secretAccessKey: _secret, identity: _identity, ...status } = await askStatus(serving);
    print(options, { running: true, ...status }, () => statusText(status));
    return 0;
  },

  async env(options: Options): Promise<number> {
    const serving = await findServing(options.stateDir);
    if (serving === undefined) return notRunning(options);
    const variables = {
      AWS_ENDPOINT_URL: serving.endpoint,
      AWS_REGION: serving.region,
      // What botocore reads: the AWS CLI before version 2, boto3.
      AWS_DEFAULT_REGION: serving.region,
      AWS_ACCESS_KEY_ID: serving.accessKeyId,
      AWS_SECRET_ACCESS_KEY: serving.secretAccessKey,
    };
    // A session token of another account in the shell would be sent along, and refused.
    const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${value}`);
    print(options, variables, () => [...lines, "unset AWS_SESSION_TOKEN AWS_PROFILE"].join("\n"));
    return 0;
  },

  /** Resolves when a signal has ended it, or its state directory is gone. */
  async serve(options: Options): Promise<number> {
    // Only here: the other commands are quick, since they load nothing of it.
    const { Cloud } = await import("./cloud.ts");
    const log = openLog(process.stderr);
    process.umask(0o077);
    const ended = new Promise<string>((resolve) => {
      for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
        process.on(signal, () => resolve(signal));
    });
    const cloud = await Cloud.open({
      stateDir: options.stateDir,
      region: options.region,
      limits: {
        perFunction: options.concurrency,
        total: options.maxEnvironments,
        idleMs: options.idleMs,
        initMs: options.initTimeoutMs,
      },
      asyncRetryMs: options.asyncRetryMs,
      log,
      ...(options.port !== undefined && options.port !== 0 && { port: options.port }),
    });
    const { endpoint, pid, stateDir } = cloud.serving;
    log.info({ endpoint, pid, stateDir }, "serving");
    if (options.json) console.log(JSON.stringify(shown(cloud.serving)));
    const reason = await Promise.race([ended, lost(cloud.serving)]);
    log.info({ reason }, "stopping");
    await cloud[Symbol.asyncDispose]();
    return 0;
  },
} as const;

const LOOK_MS = 2000;

/** Resolves when nobody can find this cloud any more, or stop it: its project was deleted, or moved elsewhere. */
async function lost({ stateDir, pid }: Serving): Promise<string> {
  for await (const _ of setInterval(LOOK_MS, undefined, { ref: false }))
    if ((await findServing(stateDir))?.pid !== pid) break;
  return `${stateDir} is gone`;
}

/** The longest that a timer can wait. */
const MAX_TIMER = 2_147_483_647;

function shown(serving: Serving): Omit<Serving, "identity"> {
  const { identity: _identity, ...rest } = serving;
  return rest;
}

function notRunning(options: Options): number {
  if (options.json) console.log(JSON.stringify({ running: false, stateDir: options.stateDir }));
  else console.error(`The local cloud of ${options.stateDir} is not running.`);
  return 3;
}

function print(options: Options, value: object, text: () => string): void {
  console.log(options.json ? JSON.stringify(value) : text());
}

function statusText(status: Omit<CloudStatus, "secretAccessKey" | "identity">): string {
  const { endpoint, pid, accountId, region, functions, environments, queued } = status;
  const head = [
    `endpoint   ${endpoint} (pid ${pid})`,
    `account    ${accountId}, ${region}`,
    `running    ${environments === 1 ? "1 environment" : `${environments} environments`}, ${queued} queued`,
  ];
  const rows = functions.map(
    (lambda) =>
      `${lambda.name}  ${lambda.running} running, ${lambda.idle} idle, ${lambda.queued} queued  ${lambda.urlError ?? lambda.url ?? ""}`,
  );
  return [...head, ...rows.map((row) => row.trimEnd())].join("\n");
}

function readNumber(name: string, value: string | boolean | undefined, most: number): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  const least = name === "port" || name.endsWith("-ms") ? 0 : 1;
  if (/^\d+$/.test(String(value)) && number >= least && number <= most) return number;
  throw cloudUsage(`--${name} must be a whole number between ${least} and ${most}.`);
}

/** The project's, where the working directory lies in one; else the user's. */
function defaultStateDir(): string {
  const project = findProject(realpathSync("."));
  if (project !== undefined) return join(project, ".livedev", "cloud");
  const stateHome = process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return join(stateHome, "livedev", "cloud");
}

function findProject(folder: string): string | undefined {
  if (PROJECT_FILES.some((name) => existsSync(join(folder, name)))) return folder;
  const up = dirname(folder);
  return up === folder ? undefined : findProject(up);
}
