/** `livedev debug MyApi --break src/api.ts:12`: a debugger without an editor, as a person and as a script use it. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

import t from "tap";

import { Rig } from "../support/rig.ts";
import { attached } from "./support.ts";

const CONFIG = `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "debugged", home: "local" }),
  async run() { new aws.Function("MyApi", { handler: "src/api.handler" }); },
});
`;

const API = `import { total } from "./cart.ts";

type Event = { items: readonly number[]; who?: string };

export async function handler(event: Event) {
  await null;
  return { sum: total(event.items, event.who) };
}
`;

const CART = `// Types and comments are gone when it runs: its lines are others then.
type Cart = {
  readonly items: readonly number[];
};

export function total(items: Cart["items"], who = "nobody"): number {
  const seen = new Map([[who, items.length]]);
  let sum = 0;
  for (const item of items) {
    const twice = item * 2; // HERE
    sum += twice;
  }
  return sum + seen.size - 1;
}
`;

const rig = Rig.open({
  files: {
    "livedev.config.ts": CONFIG,
    "src/api.ts": API,
    "src/cart.ts": CART,
    "src/other.ts": "export const unused = 1;\n",
  },
});
t.teardown(() => rig[Symbol.asyncDispose]());
await rig.start();

const PLACE = "src/cart.ts:10";

/** Started, and waiting. */
async function waiting(...args: readonly string[]) {
  const child = rig.spawn("livedev.js", ["debug", "MyApi", "--break", ...args]);
  let stdout = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  if (!args.includes("--json"))
    await said(child, /^Waiting for an invocation of MyApi at src\/cart\.ts:10\.$/);
  return {
    child,
    finished: async () => {
      const code = await ended;
      return { code, stdout };
    },
  };
}

async function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  if (child.stderr === null) return;
  for await (const line of createInterface({ input: child.stderr })) if (pattern.test(line)) return;
  throw new Error(`it never said ${pattern}`);
}

const client = await rig.connect();
t.teardown(() => client[Symbol.asyncDispose]());

const invoke = (event: object) =>
  client.call("function.invoke", { functionName: "MyApi", event: JSON.stringify(event) });

t.test("it waits, prints stack and local variables in the words of the sources, and goes on", async (t) => {
  const { finished } = await waiting(PLACE);
  const answer = invoke({ items: [3, 4], who: "ada" });
  const { code, stdout } = await finished();
  t.equal(code, 0);
  t.same(
    stdout.split("\n").map((line) => line.trimEnd()),
    [
      "MyApi at src/cart.ts:10:19",
      "    const twice = item * 2; // HERE",
      "  total    src/cart.ts:10:19",
      "  handler  src/api.ts:7:17",
      "",
      "  twice  undefined",
      "  item   3",
      '  seen   Map(1) { "ada" => 2 }',
      "  sum    0",
      "  items  [3, 4]",
      '  who    "ada"',
      "",
      "",
    ],
  );
  t.equal((await answer).payload, '{"sum":14}', "the invocation went on");
  t.match(await client.call("debug.status", {}), { state: "off" });
});

t.test("--json: one value a hit; --follow: each of them, in whatever process, until Ctrl-C", async (t) => {
  const { child, finished } = await waiting(PLACE, "--follow", "--json");
  if (child.stdout === null) throw new Error("no stdout");
  const hits = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await hits.next()).value as string);
  // A script has no line on stderr to wait for.
  await attached(client);
  const first = invoke({ items: [1, 2] });
  const hit = {
    functionName: "MyApi",
    name: "total",
    file: "src/cart.ts",
    line: 10,
    column: 19,
    stack: [
      { name: "total", file: "src/cart.ts", line: 10, column: 19 },
      { name: "handler", file: "src/api.ts", line: 7, column: 17 },
    ],
  };
  for (const item of [1, 2]) {
    const { locals, ...more } = await next();
    t.same(more, hit);
    t.match(
      locals.find(({ name }: { name: string }) => name === "item"),
      { type: "number", value: item, text: String(item) },
    );
  }
  t.equal((await first).functionError, undefined);
  let wake = () => {};
  const built = new Promise<void>((resolve) => (wake = resolve));
  await client.subscribe({ types: ["build.finished"] }, () => wake());
  rig.save("src/cart.ts", `// One line more.\n${CART}`);
  await built;
  const second = invoke({ items: [5] });
  t.match(
    await next(),
    { line: 11, stack: [{ line: 11 }, { line: 7 }] },
    "the breakpoint moved with its line",
  );
  t.equal((await second).functionError, undefined);
  child.kill("SIGINT");
  t.equal((await finished()).code, 130);
  t.equal((await client.call("debug.status", {})).state, "off");
  rig.save("src/cart.ts", CART);
});

t.test("--timeout: nobody came; debugging that was on before stays on", async (t) => {
  await client.call("debug.on", { port: 0 });
  const { finished } = await waiting(PLACE, "--timeout", "300ms");
  const { code, stdout } = await finished();
  t.same({ code, stdout }, { code: 1, stdout: "" }, "nobody came");
  t.match(await client.call("debug.status", {}), { state: "on", sessions: 0 });
  t.equal((await invoke({ items: [1] })).functionError, undefined);
  await client.call("debug.off", {});
});

t.test("a place where nothing can stop is told, and not waited for", async (t) => {
  const refused = async (...args: readonly string[]) => {
    const { code, stderr } = await rig.livedev("debug", ...args);
    return `${code} ${stderr}`;
  };
  t.match(await refused("MyApi"), /^2 Where should it stop\?/);
  t.match(await refused("MyApi", "--break", "src/api.ts"), /^2 .*src\/api\.ts:12/);
  t.match(await refused("MyApi", "--break", "src/none.ts:1"), /^1 There is no file src\/none\.ts/);
  t.match(await refused("MyApi", "--break", "src/api.ts:400"), /^1 src\/api\.ts has no line 400: it has 9/);
  t.match(await refused("Your", "--break", "src/api.ts:1"), /^1 There is no function named Your/);
  const elsewhere = refused("MyApi", "--break", "src/other.ts:1");
  await attached(client);
  t.equal((await invoke({ items: [1] })).functionError, undefined);
  t.match(await elsewhere, /^1 Waiting .*\nsrc\/other\.ts is not part of MyApi/);
  const empty = refused("MyApi", "--break", "src/api.ts:9");
  await attached(client);
  t.equal((await invoke({ items: [1] })).functionError, undefined);
  t.match(await empty, /^1 Waiting .*\nNothing can stop at src\/api\.ts:9/);
});
