/** The stub as it ships, bundled, as a process of its own, and a bridge for it. */
import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { buildSync } from "esbuild";

import {
  Bridge,
  type BridgeEvent,
  type BridgeInvocation,
  type BridgeOptions,
} from "../../daemon/bridge/bridge.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import type { BufferedAnswer, StreamedAnswer } from "../../proto/answer.ts";

export const KEY = "a1".repeat(32);
export const KEY_ID = "stage-key-1";
/** Whose stub it is, and its key, as a BareStub is told. */
export const PLACE = {
  app: "shop",
  stage: "dev",
  functionName: "api",
  key: Buffer.from(KEY, "hex"),
  keyId: KEY_ID,
} as const;

let bundle: string | undefined;

/** The options of scripts/build.mjs. */
export function stubBundle(): string {
  if (bundle !== undefined) return bundle;
  const folder = mkdtempSync(join(tmpdir(), "livedev-stub-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  bundle = join(folder, "stub.mjs");
  buildSync({
    absWorkingDir: join(import.meta.dirname, "../.."),
    entryPoints: ["stub/main.ts"],
    outfile: bundle,
    bundle: true,
    minify: true,
    platform: "node",
    target: "node20",
    format: "esm",
    legalComments: "none",
    external: ["bufferutil", "utf-8-validate"],
    banner: {
      js: `import { createRequire as livedevRequire } from "node:module"; const require = livedevRequire(import.meta.url);`,
    },
  });
  return bundle;
}

export class StubProcess {
  readonly child: ChildProcess;
  readonly #folder: string;
  stderr = "";

  constructor(options: {
    runtimeApi: string;
    port: number;
    settings?: Record<string, unknown> | string;
    env?: Record<string, string>;
    command?: readonly string[];
    /** Of open descriptors. */
    limit?: number;
    /** The words before its command, which make it run elsewhere. */
    within?: readonly string[];
  }) {
    this.#folder = mkdtempSync(join(tmpdir(), "livedev-package-"));
    const settings = options.settings ?? {};
    writeFileSync(
      join(this.#folder, "livedev.json"),
      typeof settings === "string"
        ? settings
        : JSON.stringify({
            version: 1,
            app: "shop",
            stage: "dev",
            functionName: "api",
            key: KEY,
            keyId: KEY_ID,
            addresses: [{ address: `tls://127.0.0.1:${options.port}`, match: "*" }],
            whenAway: "error",
            ...settings,
          }),
    );
    const program = join(this.#folder, "livedev-stub.mjs");
    // A copy, since the settings lie beside the program.
    copyFileSync(stubBundle(), program);
    const command = [...(options.within ?? []), process.execPath, program, ...(options.command ?? [])];
    const limited = ["/bin/sh", "-c", `ulimit -n ${options.limit} && exec "$@"`, "sh", ...command];
    const [file = "", ...args] = options.limit === undefined ? command : limited;
    this.child = spawn(file, args, {
      env: {
        PATH: process.env["PATH"] ?? "",
        AWS_LAMBDA_RUNTIME_API: options.runtimeApi,
        AWS_REGION: "eu-west-1",
        _HANDLER: "index.handler",
        LIVEDEV_SECRET: "never",
        OWN: "never",
        ...options.env,
      },
      stdio: ["ignore", "inherit", "pipe"],
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill("SIGCONT");
      this.child.kill("SIGKILL");
      await once(this.child, "exit");
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export type TestBridge = Bridge & { readonly seen: BridgeInvocation[]; readonly events: BridgeEvent[] };

export async function openBridge(
  options: Partial<BridgeOptions> & { receive: BridgeOptions["receive"] },
): Promise<TestBridge> {
  const seen: BridgeInvocation[] = [];
  const events: BridgeEvent[] = [];
  const bridge = await Bridge.open({
    host: "127.0.0.1",
    port: 0,
    epoch: "epoch-1",
    app: () => "shop",
    stage: "dev",
    keys: () => [{ keyId: KEY_ID, key: Buffer.from(KEY, "hex") }],
    record: (event) => events.push(event),
    log: silentLog,
    ...options,
    receive: (invocation) => {
      seen.push(invocation);
      return options.receive(invocation);
    },
  });
  return Object.assign(bridge, { seen, events });
}

export const portOf = (bridge: Bridge): number => Number(new URL(bridge.address).port);

export const ok = (body: string | Uint8Array): BufferedAnswer => ({
  kind: "buffered",
  status: "ok",
  body: Buffer.from(body),
  contentType: "application/json",
});

export const streamed = (chunks: AsyncIterable<Uint8Array>, contentType = "text/plain"): StreamedAnswer => ({
  kind: "streamed",
  contentType,
  chunks,
});
