import { fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t from "tap";

import { loadStageKey } from "../../daemon/credentials/stage-key.ts";
import { counted, times } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { Watched } from "../support/live-stub.ts";

const PROCESSES = times(4, 2);
const STUBS = times(125, 15);
const FUNCTIONS = ["One", "Two", "Three", "Four"].slice(0, PROCESSES);

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "many", home: "local" }),
  async run() {
    for (const name of ${JSON.stringify(FUNCTIONS)}) new aws.Function(name, { handler: "src/wait.handler", timeout: "120 seconds" });
  },
});
`,
  "src/wait.ts": `
export const handler = async ({ id }: { id: string }) => {
  await new Promise((resolve) => setTimeout(resolve, 50));
  return { id };
};
`,
};

t.test(
  `${PROCESSES * STUBS} stubs bring as many events of 50 ms at once: all are answered, and the queue is seen`,
  async (t) => {
    await using rig = Rig.open({ files: FILES });
    await using watched = await Watched.open(rig);
    const { client } = watched;
    const { bridge, app, stage } = await client.call("daemon.status", {});
    const { key, keyId } = await loadStageKey(join(rig.project, ".livedev", stage));
    const hosts = Array.from({ length: PROCESSES }, (_, index) => {
      const settings = {
        version: 1,
        app,
        stage,
        functionName: FUNCTIONS[index],
        key: Buffer.from(key).toString("hex"),
        keyId,
        addresses: [{ address: bridge.address, match: "*" }],
        whenAway: "error",
      };
      return fork(
        join(import.meta.dirname, "../support/stub-host.ts"),
        [JSON.stringify(settings), String(STUBS)],
        { execArgv: ["--import=tsx"], stdio: ["ignore", "inherit", "inherit", "ipc"] },
      );
    });
    try {
      const answers: { requestId: string; body: string }[] = [];
      await Promise.all(
        hosts.map((host) => new Promise<void>((resolve) => host.once("message", () => resolve()))),
      );
      t.equal((await client.call("daemon.status", {})).bridge.sandboxes, PROCESSES * STUBS);
      const began = performance.now();
      const all = Promise.all(
        hosts.map(
          (host) =>
            new Promise<void>((resolve) => {
              let left = STUBS;
              host.on("message", (answer) => {
                answers.push(answer as { requestId: string; body: string });
                left -= 1;
                if (left === 0) resolve();
              });
              host.send("go");
            }),
        ),
      );
      let [most, queued] = [0, 0];
      while (answers.length < PROCESSES * STUBS) {
        for (const state of await client.call("function.list", {})) {
          most = Math.max(most, state.running);
          queued = Math.max(queued, state.queued);
        }
        await wait(20);
      }
      t.ok(most > 0 && most <= 10, `bounded for each function: at most ${most} ran`);
      t.ok(queued > 0, `what waits is seen: at most ${queued}`);
      await all;
      const seconds = (performance.now() - began) / 1000;
      const rss = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${rig.daemonPid()}/status`, "utf8"))?.[1];
      counted(
        t,
        `stubs: ${answers.length} answers in ${seconds.toFixed(1)} s; the daemon's rss is ${Math.round(Number(rss) / 1024)} MB`,
      );
      t.equal(answers.length, PROCESSES * STUBS);
      const others = answers.filter(({ requestId, body }) => body !== JSON.stringify({ id: requestId }));
      t.same(
        others.map(({ body }) => body),
        [],
        "each got its own answer",
      );
      await watched.next(
        "invocation.delivered",
        () =>
          watched.events.filter(({ type }) => type === "invocation.delivered").length === PROCESSES * STUBS,
      );
    } finally {
      for (const host of hosts) host.kill("SIGKILL");
    }
  },
);
