/**
 * The local cloud as its own program, in a state directory of the test's, with the AWS clients as anybody installs
 * them. Closing it stops the cloud and says which processes outlived it.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { CreateRoleCommand, IAMClient } from "@aws-sdk/client-iam";
import {
  AddPermissionCommand,
  CreateFunctionCommand,
  CreateFunctionUrlConfigCommand,
  InvokeCommand,
  LambdaClient,
  type CreateFunctionRequest,
  type CreateFunctionUrlConfigRequest,
  type InvokeCommandOutput,
} from "@aws-sdk/client-lambda";
import { STSClient } from "@aws-sdk/client-sts";
import type { Test } from "tap";
import { ZipFile } from "yazl";

import type { CloudStatus, Serving } from "../../daemon/cloud/serving.ts";
import { PROGRAMS } from "../../daemon/lib/programs.ts";

export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type Credentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

/** A program to its end. */
export function finished(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** `cloud …` of the built program, in an environment without the developer's own AWS settings. */
export function cloudCommand(...args: readonly string[]): Promise<Finished> {
  return finished(process.execPath, [PROGRAMS.cloud, ...args], { env: plainEnvironment() });
}

export function plainEnvironment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/" };
}

export function newStateDir(t: Test): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "livedev-cloud-")));
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}

export class TestCloud {
  readonly stateDir: string;
  readonly #args: readonly string[];
  readonly #clients: { destroy(): void }[] = [];
  serving!: Serving;

  private constructor(stateDir: string, args: readonly string[]) {
    this.stateDir = stateDir;
    this.#args = args;
  }

  /** Started by its command, with `args` as the options of `start`. Closed with the test. */
  static async open(t: Test, ...args: readonly string[]): Promise<TestCloud> {
    const cloud = new TestCloud(newStateDir(t), args);
    t.teardown(async () => {
      const left = await cloud.close();
      if (left.length > 0) throw new Error(`outlived the cloud: ${left.join("; ")}`);
    });
    await cloud.start();
    return cloud;
  }

  async start(): Promise<void> {
    const { code, stdout, stderr } = await this.command("start", "--json", ...this.#args);
    if (code !== 0) throw new Error(`cloud start ended with ${code}: ${stderr}`);
    this.serving = JSON.parse(stdout) as Serving;
  }

  command(name: string, ...more: readonly string[]): Promise<Finished> {
    return cloudCommand(name, "--state-dir", this.stateDir, ...more);
  }

  stop(): Promise<Finished> {
    return this.command("stop");
  }

  async status(): Promise<CloudStatus> {
    const { stdout } = await this.command("status", "--json");
    return JSON.parse(stdout) as CloudStatus;
  }

  /** Asks until the status is as wanted; each answer is a round trip to the cloud. */
  async until(wanted: (status: CloudStatus) => boolean): Promise<CloudStatus> {
    const { askStatus } = await import("../../daemon/cloud/serving.ts");
    for (;;) {
      const status = await askStatus(this.serving);
      if (wanted(status)) return status;
    }
  }

  /** Processes whose environment or command names the state directory. */
  processes(): { pid: number; command: string }[] {
    const pids = readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 1 && pid !== process.pid);
    return pids.flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        const environ = readFileSync(`/proc/${pid}/environ`, "utf8");
        return command.includes(this.stateDir) || environ.includes(this.stateDir) ? [{ pid, command }] : [];
      } catch {
        return [];
      }
    });
  }

  lambda(credentials: Credentials = this.serving, more: object = {}): LambdaClient {
    return this.#use(new LambdaClient(this.#settings(credentials, more)));
  }

  iam(credentials: Credentials = this.serving): IAMClient {
    return this.#use(new IAMClient(this.#settings(credentials)));
  }

  sts(credentials: Credentials = this.serving): STSClient {
    return this.#use(new STSClient(this.#settings(credentials)));
  }

  /** The ARN of a role that Lambda may assume. */
  async role(name = `role-${(this.#count += 1)}`): Promise<string> {
    const { Role } = await this.iam().send(
      new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument: TRUST }),
    );
    return Role?.Arn ?? "";
  }

  /** A function of these files, `index.handler` unless told; gives its name. */
  async function(files: Files, more: Partial<CreateFunctionRequest> = {}): Promise<string> {
    const FunctionName = more.FunctionName ?? `function-${(this.#count += 1)}`;
    await this.lambda().send(
      new CreateFunctionCommand({
        FunctionName,
        Role: (this.#role ??= await this.role()),
        Runtime: "nodejs20.x",
        Handler: "index.handler",
        Code: { ZipFile: await zip(files) },
        ...more,
      }),
    );
    return FunctionName;
  }

  /** A public URL. */
  async url(FunctionName: string, more: Partial<CreateFunctionUrlConfigRequest> = {}): Promise<string> {
    const client = this.lambda();
    const { FunctionUrl = "" } = await client.send(
      new CreateFunctionUrlConfigCommand({ FunctionName, AuthType: "NONE", ...more }),
    );
    await client.send(
      new AddPermissionCommand({
        FunctionName,
        StatementId: "public",
        Action: "lambda:InvokeFunctionUrl",
        Principal: "*",
        FunctionUrlAuthType: "NONE",
      }),
    );
    return FunctionUrl;
  }

  async invoke(FunctionName: string, event: unknown = {}): Promise<Invoked> {
    return invoked(
      await this.lambda().send(
        new InvokeCommand({ FunctionName, Payload: Buffer.from(JSON.stringify(event)), LogType: "Tail" }),
      ),
    );
  }

  /** Stops the cloud; gives what is left of it, and ends that. */
  async close(): Promise<string[]> {
    for (const client of this.#clients) client.destroy();
    await this.stop();
    const left = process.platform === "linux" ? this.processes() : [];
    for (const { pid } of left) process.kill(pid, "SIGKILL");
    return left.map(({ command }) => command);
  }

  #count = 0;
  #role: string | undefined;

  #settings(credentials: Credentials, more: object = {}) {
    const { endpoint, region } = this.serving;
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    return {
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) },
      maxAttempts: 1,
      ...more,
    };
  }

  #use<T extends { destroy(): void }>(client: T): T {
    this.#clients.push(client);
    return client;
  }
}

export const TRUST = JSON.stringify({
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: { Service: "lambda.amazonaws.com" }, Action: "sts:AssumeRole" }],
});

export type Invoked = {
  readonly value: any;
  readonly error: string | undefined;
  readonly log: string;
  readonly requestId: string | undefined;
};

export function invoked(output: InvokeCommandOutput): Invoked {
  const text = Buffer.from(output.Payload ?? []).toString();
  return {
    value: text === "" ? undefined : JSON.parse(text),
    error: output.FunctionError,
    log: Buffer.from(output.LogResult ?? "", "base64").toString(),
    requestId: output.$metadata.requestId,
  };
}

/** A file's text, or that of an executable one. */
export type Files = Readonly<Record<string, string | { readonly executable: string }>>;

export async function zip(files: Files): Promise<Buffer> {
  const made = new ZipFile();
  for (const [path, content] of Object.entries(files)) {
    const [text, mode] = typeof content === "string" ? [content, 0o100644] : [content.executable, 0o100755];
    made.addBuffer(Buffer.from(text), path, { mode, mtime: new Date(2020, 0, 1) });
  }
  made.end();
  const chunks: Buffer[] = [];
  for await (const chunk of made.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A handler whose answer is its event. */
export const ECHO: Files = { "index.js": "exports.handler = async (event) => event;" };
