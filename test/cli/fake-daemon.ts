/**
 * A daemon that says what a test wants: the real control server on the real socket of a rig's project, over a
 * history in memory. For what a real one says only in rare states.
 */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { VERSION } from "../../client/programs.ts";
import { startTimeOfProcess } from "../../client/discovery.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import type { MethodTable } from "../../daemon/rpc/methods.ts";
import { Rpc } from "../../daemon/rpc/rpc.ts";
import { prepareSocket } from "../../daemon/rpc/socket.ts";
import { formatDaemonFile, socketPath, socketSeed } from "../../proto/discovery.ts";
import type { DaemonStatus } from "../../proto/rpc.ts";
import { RPC_PROTOCOL } from "../../proto/version.ts";
import { EPOCH, followOf, MemoryHistory, methodTable } from "../rpc/rig.ts";
import { Rig } from "../support/rig.ts";

export const CONFIG = `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local" }),
  async run() {
    new aws.Function("MyApi", { handler: "src/api.handler", url: true });
  },
});
`;

export const STATUS: DaemonStatus = {
  app: "shop",
  stage: "dev",
  home: "local",
  project: "/project",
  pid: process.pid,
  version: VERSION,
  startedAt: Date.now() - 90_000,
  config: { state: "ready" },
  live: { state: "live", since: Date.now() - 60_000, outputs: {} },
  bridge: { address: "tls://127.0.0.1:4000", sandboxes: 1 },
  processes: [],
  functions: [
    {
      name: "MyApi",
      handler: "src/api.handler",
      runtime: "nodejs20.x",
      state: "ready",
      workers: 1,
      running: 0,
      queued: 0,
      url: "http://127.0.0.1:9/",
    },
  ],
};

export class FakeDaemon implements AsyncDisposable {
  readonly rig: Rig;
  readonly history: MemoryHistory;
  readonly #rpc: Rpc;

  private constructor(rig: Rig, history: MemoryHistory, rpc: Rpc) {
    this.rig = rig;
    this.history = history;
    this.#rpc = rpc;
  }

  static async open(methods: Partial<MethodTable> = {}, history = new MemoryHistory()): Promise<FakeDaemon> {
    const rig = Rig.open({ files: { "livedev.config.ts": CONFIG, ".livedev/stage": "dev\n" } });
    const stateDir = join(rig.project, ".livedev", "dev");
    mkdirSync(stateDir, { mode: 0o700 });
    const digest = createHash("sha256").update(socketSeed(rig.project, "dev")).digest("hex");
    const socket = socketPath(rig.env["XDG_RUNTIME_DIR"] ?? "", process.geteuid?.() ?? 0, digest);
    await prepareSocket(socket);
    const table = methodTable(history, {
      "daemon.hello": () =>
        Promise.resolve({
          protocol: RPC_PROTOCOL,
          version: VERSION,
          pid: process.pid,
          epoch: EPOCH,
          project: rig.project,
          app: "shop",
          stage: "dev",
          database: history.databaseId,
        }),
      "daemon.status": () => Promise.resolve(STATUS),
      "function.list": () => Promise.resolve(STATUS.functions),
      ...methods,
    });
    const rpc = await Rpc.open({
      socketPath: socket,
      methods: table,
      follow: followOf(history),
      version: VERSION,
      log: silentLog,
    });
    writeFileSync(
      join(stateDir, "daemon.json"),
      formatDaemonFile({
        version: 1,
        pid: process.pid,
        startTime: startTimeOfProcess(process.pid) ?? "",
        socket,
        epoch: EPOCH,
        startedAt: Date.now(),
        livedevVersion: VERSION,
        project: rig.project,
        stage: "dev",
      }),
    );
    return new FakeDaemon(rig, history, rpc);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rpc[Symbol.asyncDispose]();
    rmSync(this.rig.root, { recursive: true, force: true });
  }
}
