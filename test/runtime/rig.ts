/** Environments over real processes, with their output kept and waited for. */
import { mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Test } from "tap";

import { silentLog } from "../../daemon/lib/log.ts";
import { PROGRAMS } from "../../daemon/lib/programs.ts";
import {
  ExecutionEnvironment,
  type EnvironmentOptions,
  type OutputLine,
  type RuntimeInvocation,
} from "../../daemon/runtime/environment.ts";
import type { Answer } from "../../proto/answer.ts";

export const NODE = [process.execPath, "--enable-source-maps"] as const;
export const NEVER = new AbortController().signal;

export type Rig = {
  readonly environment: ExecutionEnvironment;
  readonly lines: OutputLine[];
  /** Waits for a line that holds `text`. */
  line(text: string): Promise<OutputLine>;
  invoke(event?: unknown, more?: Partial<RuntimeInvocation>): Promise<Answer>;
};

type Options = Partial<Omit<EnvironmentOptions, "onOutput">>;

/** An environment that is closed with the test. */
export async function openRig(t: Test, options: Options): Promise<Rig> {
  const lines: OutputLine[] = [];
  const waiters = new Set<() => void>();
  const environment = await ExecutionEnvironment.open({
    command: [...NODE, PROGRAMS.runner],
    cwd: "/",
    log: silentLog,
    ...options,
    env: { PATH: process.env["PATH"] ?? "", ...options.env },
    onOutput: (line) => {
      lines.push(line);
      for (const wake of waiters) wake();
    },
  });
  t.teardown(() => environment[Symbol.asyncDispose]());
  let count = 0;
  return {
    environment,
    lines,
    line: (text) =>
      new Promise((resolve) => {
        const look = () => {
          const found = lines.find((line) => line.text.includes(text));
          if (found === undefined) return;
          waiters.delete(look);
          resolve(found);
        };
        waiters.add(look);
        look();
      }),
    invoke: (event = {}, more = {}) => environment.invoke(invocation(event, more, (count += 1)), NEVER),
  };
}

export function invocation(
  event: unknown,
  more: Partial<RuntimeInvocation> = {},
  count = 1,
): RuntimeInvocation {
  return {
    requestId: `request-${count}`,
    event: event instanceof Uint8Array ? event : Buffer.from(JSON.stringify(event)),
    deadlineAt: Date.now() + 30_000,
    functionArn: "arn:aws:lambda:eu-west-1:123456789012:function:hello",
    ...more,
  };
}

/** A runner that loads `handler` from these files, as Lambda does. */
export async function openFunction(
  t: Test,
  files: Record<string, string>,
  handler = "index.handler",
  options: Options = {},
): Promise<Rig> {
  const taskRoot = await filesIn(t, files);
  return openRig(t, {
    cwd: taskRoot,
    ...options,
    env: { LAMBDA_TASK_ROOT: taskRoot, _HANDLER: handler, ...options.env },
  });
}

export async function filesIn(t: Test, files: Record<string, string>): Promise<string> {
  // Outside this package: its "type": "module" must not reach the functions under test.
  const folder = await mkdtemp(join(await realpath(tmpdir()), "livedev-runtime-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** A program that speaks the Runtime API by itself: `call(method, path, body?, headers?)` and `next()` are there. */
export async function openProgram(t: Test, body: string, options: Options = {}): Promise<Rig> {
  const folder = await filesIn(t, { "program.mjs": RAW_CLIENT + body });
  return openRig(t, { command: [process.execPath, join(folder, "program.mjs")], cwd: folder, ...options });
}

const RAW_CLIENT = `
import http from "node:http";
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const agent = new http.Agent({ keepAlive: true });
export const call = (method, path, body, headers = {}) =>
  new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path: "/2018-06-01/runtime/" + path, headers, agent }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
    });
    request.on("error", reject);
    request.end(body);
  });
const next = async () => {
  const { headers, body } = await call("GET", "invocation/next");
  return { id: headers["lambda-runtime-aws-request-id"], headers, body };
};
`;

export type Shown = { readonly status: "ok" | "error"; readonly errorType?: string; readonly value: any };

/** A buffered answer with its body parsed. */
export function shown(answer: Answer): Shown {
  if (answer.kind !== "buffered") throw new Error("a streamed answer");
  const { status, errorType, body } = answer;
  return {
    status,
    ...(errorType === undefined ? {} : { errorType }),
    value: JSON.parse(Buffer.from(body).toString()),
  };
}

export function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
