/** examples/web: real Vite and Astro, and a service in Go, start, answer, reload, crash, come back and stop. */
import { symlinkSync } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import t from "tap";

import type { ProcessStatus } from "../../proto/rpc.ts";
import { goFolder, WEB, webMissing } from "../support/parts.ts";
import { Rig } from "../support/rig.ts";

const PATIENCE_MS = 120_000;

/** What an address answers; empty where nobody does. */
async function get(url: string): Promise<string> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    return await response.text();
  } catch {
    return "";
  }
}

async function until(holds: () => Promise<boolean>, what: () => string): Promise<void> {
  const end = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never: ${what()}`);
    await sleep(100);
  }
}

t.test(
  "a Vite and an Astro frontend and a Go service live under livedev",
  { skip: webMissing },
  async (t) => {
    await using rig = Rig.open({ example: "web" });
    for (const name of ["web", "docs"]) {
      symlinkSync(join(WEB, name, "node_modules"), join(rig.project, name, "node_modules"));
    }
    rig.env["PATH"] = [goFolder, rig.env["PATH"]].join(delimiter);
    rig.env["GOCACHE"] = process.env["GOCACHE"] ?? join(WEB, "..", "go-cache");
    rig.env["ASTRO_TELEMETRY_DISABLED"] = "1";
    const urls = await rig.start();
    await using client = await rig.connect();

    let all: readonly ProcessStatus[] = [];
    const of = (name: string) => all.find((one) => one.name === name);
    const look = async () => (all = await client.call("process.list", {}));
    const ready = (...names: string[]) =>
      until(
        async () => (await look(), names.every((name) => of(name)?.state === "ready")),
        () => JSON.stringify(all, undefined, 1),
      );
    const says = (url: string, text: string) =>
      until(
        async () => (await get(url)).includes(text),
        () => `${text} at ${url}`,
      );

    await ready("Clock", "Web", "Docs");
    const [clock, web, docs] = ["Clock", "Web", "Docs"].map((name) => of(name)?.url ?? "") as [
      string,
      string,
      string,
    ];
    t.comment(`ready: ${clock} ${web} ${docs}`);
    const { events } = await client.call("event.list", {
      types: ["process.started", "process.ready"],
      limit: 1000,
    });
    const when = (type: string, name: string) =>
      events.findIndex(
        ({ event }) => event.type === type && "processName" in event && event.processName === name,
      );
    t.ok(when("process.ready", "Clock") >= 0);
    t.ok(
      when("process.ready", "Clock") < when("process.started", "Web"),
      "who links to the service starts when it is ready",
    );

    t.match(await get(web), "A frontend under livedev");
    t.match(await get(`${web}src/main.js`), urls["Api"], "the function's URL is in its environment");
    const { bucket } = JSON.parse(await get(urls["Api"] ?? "")) as { bucket: string };
    t.match(await get(clock), `the bucket is ${bucket}`);
    t.match(await get(docs), `The bucket is ${bucket}`);

    rig.edit("web/src/show.js", "answer.text()", "answer.text() /* changed */");
    await says(`${web}src/show.js`, "/* changed */");
    rig.edit("docs/src/pages/index.astro", "Docs under livedev", "Docs, changed");
    await says(docs, "Docs, changed");
    rig.edit("clock/main.go", "and the bucket is", "and the linked bucket is");
    t.equal((await rig.livedev("restart", "Clock")).code, 0);
    await says(clock, "the linked bucket is");

    await get(`${clock}/crash`);
    await until(
      async () => (await look(), (of("Clock")?.restarts ?? 0) >= 2),
      () => "the service comes back",
    );
    await ready("Clock");
    t.match(await get(clock), "the linked bucket is", "a service that crashed is back");
    const logs = await rig.livedev("logs", "Clock", "--grep", "crashing, as asked");
    t.match(logs.stdout, "crashing, as asked");

    for (const [name, url, answer] of [
      ["Web", web, "A frontend under livedev"],
      ["Docs", docs, "Docs, changed"],
    ] as const) {
      await look();
      const { pid = Number.NaN, restarts = 0 } = of(name) ?? {};
      process.kill(pid, "SIGKILL");
      await until(
        async () => (await look(), of(name)?.state === "ready" && of(name)?.restarts === restarts + 1),
        () => `${name} comes back`,
      );
      t.match(of(name)?.restarted?.why, "SIGKILL");
      t.equal(of(name)?.url, url, `${name}, at its old address`);
      await says(url, answer);
    }

    for (const [name, url, answer] of [
      ["Clock", clock, "the linked bucket is"],
      ["Web", web, "A frontend under livedev"],
      ["Docs", docs, "Docs, changed"],
    ] as const) {
      t.equal((await rig.livedev("stop", name)).code, 0);
      t.match((await look(), of(name)), { state: "stopped" });
      t.equal(await get(url), "", `${name} answers no more`);
      t.equal((await rig.livedev("start", name)).code, 0);
      await ready(name);
      t.equal(of(name)?.url, url);
      await says(url, answer);
    }

    t.equal((await rig.livedevd("stop")).code, 0);
    t.match(
      (await rig.livedev("logs", "Clock", "--grep", "crashing, as asked")).stdout,
      "crashing, as asked",
      "what it printed is found when it and the daemon are gone",
    );
    t.same(await Promise.all([clock, web, docs].map(get)), ["", "", ""], "none of them answers any more");
  },
);
