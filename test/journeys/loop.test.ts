/** The whole way: the real stub behind the local cloud's Runtime API, the real daemon, the CLI as it ships. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import type { LivedevEvent, RecordedEvent } from "../../proto/events.ts";
import { Rig } from "../support/rig.ts";

type Event<T extends LivedevEvent["type"]> = Extract<LivedevEvent, { type: T }>;

/** Watches a daemon's events; `next` waits for one that is told from the others, past or to come. */
async function watching(rig: Rig) {
  const client = await rig.connect();
  const seen: RecordedEvent[] = [];
  let wake = () => {};
  await client.subscribe({}, (events) => {
    seen.push(...events);
    wake();
  });
  let from = 0;
  return {
    client,
    seen,
    /** The first event of this type, after the ones that were waited for before, that fits. */
    async next<T extends LivedevEvent["type"]>(
      type: T,
      fits: (event: Event<T>) => boolean = () => true,
    ): Promise<Event<T>> {
      for (;;) {
        const index = seen.findIndex(
          ({ event }, at) => at >= from && event.type === type && fits(event as Event<T>),
        );
        if (index >= 0) {
          from = index + 1;
          return seen[index]?.event as Event<T>;
        }
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

const rig = Rig.open({ example: "api" });
t.teardown(() => rig[Symbol.asyncDispose]());

t.test("the example answers through its function URL, and a save is live at the next event", async (t) => {
  const { MyApi: url = "" } = await rig.start();
  const first = await fetch(url);
  t.equal(first.status, 200);
  t.same(await first.json(), { greeting: "Welcome to the bookshop", currency: "EUR" });

  const books = await fetch(new URL("/books?author=eliot", url));
  t.same(await books.json(), {
    books: [{ id: "middlemarch", title: "Middlemarch", author: "George Eliot", price: "14.50 EUR" }],
  });

  const quote = await fetch(new URL("/quote", url), {
    method: "POST",
    body: JSON.stringify({ lines: [{ id: "walden", count: 2 }] }),
  });
  t.same(await quote.json(), { lines: [{ id: "walden", count: 2 }], total: "19.80 EUR" });

  await using watch = await watching(rig);
  // The very next request after the save, with no wait for anything in between.
  rig.edit("src/api.ts", "Welcome to the bookshop", "Good evening");
  await watch.next("build.finished");
  t.match(await (await fetch(url)).json(), { greeting: "Good evening" });

  const logs = await rig.livedev("logs", "--fn", "MyApi");
  t.equal(logs.code, 0);
  t.match(logs.stdout, /GET \/books/);

  const history = await rig.livedev("history", "--json");
  const rows = history.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { status: string; functionName: string; codeHash: string });
  t.equal(rows.length, 4);
  t.ok(rows.every(({ status, functionName }) => status === "ok" && functionName === "MyApi"));
  t.not(rows[0]?.codeHash, rows[1]?.codeHash, "each row holds the hash of the code that ran");
});

const SLOW = (word: string) => `
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

export async function handler(event: { until?: string }) {
  console.log("${word} begins");
  while (event.until !== undefined && !existsSync(event.until)) await wait(10);
  return "${word}";
}
`;

const FUNCTIONS = `
    new aws.Function("Slow", { handler: "src/slow.handler", timeout: "30 seconds" });
    new aws.Function("Other", { handler: "src/other.handler" });
    new aws.Function("Word", {
      handler: "src/word.handler",
      timeout: \`\${Number(process.env.SECONDS ?? 30)} seconds\`,
      environment: { WORD: process.env.WORD ?? "first" },
    });
`;
const ADDED = `new aws.Function("Added", { handler: "src/added.handler", url: true });`;

async function invoke(functionName: string, event: object = {}): Promise<string> {
  await using client = await rig.connect();
  return (await client.call("function.invoke", { functionName, event: JSON.stringify(event) })).payload;
}

t.test("functions that a saved config adds beside it are deployed by themselves", async (t) => {
  await using watch = await watching(rig);
  rig.save("src/slow.ts", SLOW("old"));
  rig.save("src/other.ts", "export const handler = async (event: unknown) => event;");
  rig.save("src/word.ts", SLOW("old").replace('return "old"', 'return "old " + process.env.WORD'));
  rig.edit("livedev.config.ts", "return { url", `${FUNCTIONS}return { url`);
  await watch.next("deploy.finished");
  t.same([await invoke("Slow"), await invoke("Word"), await invoke("Other")], ['"old"', '"old first"', "{}"]);
});

t.test("a save in mid-invocation: the running one finishes on its code, the next runs the new", async (t) => {
  await using watch = await watching(rig);
  const running = invoke("Slow", { until: `${rig.root}/gate` });
  await watch.next("invocation.logged", ({ text }) => text === "old begins");

  rig.save("src/slow.ts", SLOW("new"));
  const { functionName } = await watch.next("build.finished");
  t.equal(functionName, "Slow", "the save reaches the function that read the file");
  t.equal(await invoke("Slow"), '"new"');

  rig.save("../gate", "");
  t.equal(await running, '"old"');
  t.notOk(
    watch.seen.some(({ event }) => event.type === "build.finished" && event.functionName !== "Slow"),
    "and no other",
  );
});

t.test("a saved config, or a saved .env, is deployed by itself; what runs goes on", async (t) => {
  await using watch = await watching(rig);
  const running = invoke("Word", { until: `${rig.root}/later` });
  await watch.next("invocation.logged", ({ text }) => text === "old begins");

  rig.save("src/added.ts", "export const handler = async () => 'added';");
  rig.edit("livedev.config.ts", FUNCTIONS, `${FUNCTIONS}${ADDED}`);
  const { urls } = await watch.next("deploy.finished", (event) => "Added" in event.urls);
  t.equal(await (await fetch(urls["Added"] ?? "")).text(), '"added"');
  const build = join(rig.project, ".livedev", rig.stage, "build");
  t.same(
    readdirSync(build).sort(),
    ["config", "deploy", "functions", "release"],
    "of what is built no part clears up another's",
  );

  rig.save(".env", "WORD=second\nSECONDS=40\n");
  await watch.next("deploy.stepped", ({ resource }) => resource === 'aws.Function "Word"');
  await watch.next("deploy.finished");
  t.equal(await invoke("Word"), '"old second"');
  t.match((await rig.livedev("plan", "--dev")).stdout, "Nothing to do");

  rig.save("../later", "");
  t.equal(await running, '"old first"', "one that ran all the while ends where it began");
});

t.test("a save that does not compile answers with the build error, until it is mended", async (t) => {
  await using watch = await watching(rig);
  rig.save("src/slow.ts", "export const handler = async () => {\n  return 1 +;\n};\n");
  const failed = await watch.next("build.failed");
  t.match(failed.errors[0], { file: "src/slow.ts", line: 2 });

  const broken = await rig.livedev("invoke", "Slow", "--event", "{}");
  t.equal(broken.code, 4, "a function error");
  t.match(broken.stdout + broken.stderr, /src\/slow\.ts:2/);
  t.match((await rig.livedev("status")).stdout, /src\/slow\.ts:2/);
  t.equal(await invoke("Other"), "{}", "others go on");

  rig.save("src/slow.ts", SLOW("mended"));
  await watch.next("build.finished");
  const mended = await rig.livedev("invoke", "Slow", "--event", "{}");
  t.equal(mended.stdout.trim(), '"mended"');
});

t.test("big numbers, key order and every byte of an event arrive as they were sent", async (t) => {
  const event = '{"b":1,"1":2,"n":12345678901234567890,"é":"\\u0000"}';
  await rig.livedev("invoke", "Other", "--event", event);
  await using client = await rig.connect();
  const [{ id } = { id: 0 }] = await client.call("invocation.list", { limit: 1 });
  const whole = JSON.parse((await rig.livedev("history", String(id), "--json")).stdout) as {
    event: { text: string };
  };
  t.equal(whole.event.text, event);
});
