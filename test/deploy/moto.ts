/**
 * moto's server as AWS: a process of the suite's own, behind a proxy that is as hard on clients as AWS is. More than
 * 15 calls within a second (40 where tests are to be quick) are answered 429, unless a test has other things to try;
 * and a function's last update is in progress for two looks at it: what changes the function meanwhile is refused.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

import { freePort } from "../support/free-port.ts";
import { PACKAGE_ROOT } from "../../daemon/lib/programs.ts";
import { times } from "../support/counts.ts";
import type { DeployPlace } from "./rig.ts";

export const FOLDER = process.env["LIVEDEV_MOTO"] ?? join(PACKAGE_ROOT, ".parts", "moto");
const PYTHON = join(FOLDER, "bin", "python");
const PROGRAM = join(PACKAGE_ROOT, "test", "deploy", "moto-server.py");

/** Why the suite cannot run here; never where nothing may be skipped. */
export const motoMissing: string | false =
  existsSync(PYTHON) || process.env["LIVEDEV_NO_SKIP"] === "1"
    ? false
    : `moto is not installed: run scripts/moto.sh (looked for ${PYTHON})`;

const CALLS_PER_SECOND = times(15, 40);
const LOOKS_IN_PROGRESS = 2;

export type Call = {
  readonly service: string;
  readonly method: string;
  readonly path: string;
  /** Of whose credentials it is signed with. */
  readonly keyId: string;
};

/** Instead of moto's answer: an AWS error, or the connection breaks. */
export type Refusal = { readonly status: number; readonly name: string; readonly message?: string } | "cut";

export class Moto {
  readonly dir: string;
  readonly serving: DeployPlace["serving"];
  /** Calls that reached moto, and those that were answered 429. */
  passed = 0;
  throttled = 0;
  /** Answers calls in moto's place; undefined lets the call through. */
  refuse: (call: Call, body: Buffer) => Refusal | undefined = () => undefined;
  /** AWS's clock against what is stored in it: how old a thing is, is told by both. */
  aheadMs = 0;
  readonly #moto: string;
  readonly #dump: string;
  readonly #inProgress = new Map<string, number>();
  /** More of them are answered 429. */
  callsPerSecond: number;
  #recent: number[] = [];

  private constructor(
    dir: string,
    at: { moto: string; dump: string },
    proxy: string,
    callsPerSecond: number,
  ) {
    this.callsPerSecond = callsPerSecond;
    this.dir = dir;
    this.#moto = at.moto;
    this.#dump = at.dump;
    this.serving = {
      endpoint: proxy,
      region: "us-east-1",
      accessKeyId: "AKIAIOSFODNN7EXAMPLE",
      secretAccessKey: "secret",
    };
  }

  static async open(t: Test, { callsPerSecond = CALLS_PER_SECOND } = {}): Promise<Moto> {
    const dir = mkdtempSync(join(tmpdir(), "livedev-moto-"));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const [port, dumpPort] = [await freePort(), await freePort()];
    const child = spawn(PYTHON, [PROGRAM, String(port), String(dumpPort)], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"], HOME: dir, PYTHONUNBUFFERED: "1", PYTHONDONTWRITEBYTECODE: "1" },
    });
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    t.teardown(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    let said = "";
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (/Running on/.test(said)) resolve();
      });
      void ended.then(() => reject(new Error(`moto ended: ${said}`)));
    });
    let moto: Moto | undefined;
    const server = createServer((incoming, outgoing) => void moto?.serve(incoming, outgoing));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    const proxy = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const at = { moto: `http://127.0.0.1:${port}`, dump: `http://127.0.0.1:${dumpPort}` };
    moto = new Moto(dir, at, proxy, callsPerSecond);
    return moto;
  }

  /** All that moto holds: names and kinds of things, by service, account and region. */
  async dump(): Promise<unknown> {
    const answer = await fetch(this.#dump);
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  /** Functions that AWS's services have invoked since this was last asked, by what points at them. */
  async invoked(): Promise<{ readonly functionArn: string; readonly event: unknown }[]> {
    const answer = await fetch(`${this.#dump}/invoked`);
    return answer.json() as Promise<{ functionArn: string; event: unknown }[]>;
  }

  /** A call of a service of which livedev has no client, in AWS's JSON protocol. */
  async call(service: string, target: string, body: object): Promise<unknown> {
    const answer = await fetch(this.#moto, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": target,
        authorization: authorization(service),
      },
      body: JSON.stringify(body),
    });
    return answer.json();
  }

  /** Of a service with paths: JSON, or text where it is none. */
  async get(path: string, service: string): Promise<unknown> {
    const answer = await fetch(`${this.#moto}${path}`, {
      headers: { authorization: authorization(service) },
    });
    const text = await answer.text();
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  async serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await bytes(incoming);
    const { method = "GET", url = "/", headers } = incoming;
    const [, keyId = "", service = ""] =
      /Credential=([^/]+)\/\d+\/[^/]+\/(\w+)\//.exec(headers.authorization ?? "") ?? [];
    const answer = (status: number, name: string, message = "Refused by the test's proxy.") =>
      refusal(outgoing, { service, status, name, message });
    if (this.#tooMany()) {
      this.throttled += 1;
      return answer(
        429,
        service === "lambda" ? "TooManyRequestsException" : service === "s3" ? "SlowDown" : "Throttling",
      );
    }
    const refused = this.refuse({ service, method, path: url, keyId }, body);
    if (refused === "cut") return void incoming.socket.destroy();
    if (refused !== undefined) return answer(refused.status, refused.name, refused.message);
    const name = service === "lambda" ? functionIn(method, url, body) : undefined;
    if (name !== undefined && /\/(?:code|configuration|versions)(?:$|\?)/.test(url) && method !== "GET") {
      if ((this.#inProgress.get(name) ?? 0) > 0) return answer(409, "ResourceConflictException");
    }
    this.passed += 1;
    await this.#forward(incoming, body, outgoing, name);
  }

  #tooMany(): boolean {
    const now = performance.now();
    this.#recent = this.#recent.filter((at) => now - at < 1000);
    if (this.#recent.length >= this.callsPerSecond) return true;
    this.#recent.push(now);
    return false;
  }

  #forward(
    incoming: IncomingMessage,
    body: Buffer,
    outgoing: ServerResponse,
    name: string | undefined,
  ): Promise<void> {
    const { method = "GET", url = "/", headers } = incoming;
    const { host: _, ...rest } = headers;
    // S3's own checks of a signature name the host; moto does not check.
    return new Promise((resolve) => {
      const onward = request(`${this.#moto}${url}`, { method, headers: rest }, (answered) => {
        void bytes(answered).then((content) => {
          const { "content-length": _l, "transfer-encoding": _t, connection: _c, ...kept } = answered.headers;
          kept.date = new Date(Date.now() + this.aheadMs).toUTCString();
          const shown = name === undefined ? content : this.#asInProgress(name, incoming, answered, content);
          outgoing.writeHead(answered.statusCode ?? 502, {
            ...kept,
            ...(method === "HEAD"
              ? { "content-length": answered.headers["content-length"] ?? "0" }
              : { "content-length": shown.length }),
          });
          outgoing.end(shown);
          resolve();
        });
      });
      onward.on("error", () => {
        outgoing.destroy();
        resolve();
      });
      onward.end(body);
    });
  }

  #asInProgress(name: string, incoming: IncomingMessage, answered: IncomingMessage, content: Buffer): Buffer {
    if ((answered.statusCode ?? 500) >= 300) return content;
    const { method, url = "" } = incoming;
    if (method !== "GET") {
      if (/\/functions\/?$|\/(?:code|configuration)$/.test(url))
        this.#inProgress.set(name, LOOKS_IN_PROGRESS);
      return content;
    }
    const left = this.#inProgress.get(name) ?? 0;
    if (left === 0 || !/\/functions\/[^/]+(?:\/configuration)?$/.test(url)) return content;
    this.#inProgress.set(name, left - 1);
    const json = JSON.parse(content.toString()) as Record<string, unknown>;
    const configuration = (json["Configuration"] ?? json) as Record<string, unknown>;
    configuration["LastUpdateStatus"] = "InProgress";
    return Buffer.from(JSON.stringify(json));
  }
}

const authorization = (service: string) =>
  `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`;

function functionIn(method: string, url: string, body: Buffer): string | undefined {
  if (method === "POST" && /\/functions\/?$/.test(url)) {
    return (JSON.parse(body.toString()) as { FunctionName?: string }).FunctionName;
  }
  return /\/functions\/([^/?]+)/.exec(url)?.[1];
}

/** In the form of the service's own protocol. */
function refusal(
  outgoing: ServerResponse,
  { service, status, name, message }: { service: string; status: number; name: string; message: string },
): void {
  if (["lambda", "logs", "ssm"].includes(service)) {
    outgoing.writeHead(status, { "content-type": "application/json", "x-amzn-errortype": name });
    outgoing.end(JSON.stringify({ message }));
    return;
  }
  const error = `<Error><Code>${name}</Code><Message>${message}</Message></Error>`;
  outgoing.writeHead(status, { "content-type": "text/xml" });
  outgoing.end(service === "s3" ? error : `<ErrorResponse>${error}<RequestId>r</RequestId></ErrorResponse>`);
}

async function bytes(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
