/** Secrets from the prompt to the handler: whose value counts, when it counts, and where it must not stand. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import type { RpcResult } from "../../proto/rpc.ts";
import { planted } from "../support/planted.ts";
import { Terminal } from "../support/pty.ts";
import { Rig, ROOT } from "../support/rig.ts";

const CONFIG = `
import { $config, aws, Linkable, Secret } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local", removal: "remove" }),
  async run() {
    const stripe = new Secret("StripeKey");
    const colour = new Secret("Colour", "blue");
    new aws.Function("Api", { handler: "src/api.handler", link: [stripe, colour], environment: { STRIPE: stripe.value } });
    new aws.Function("Plain", { handler: "src/plain.handler" });
    const limits = new Linkable("Limits", { properties: { perDay: 10 } });
    new aws.Function("Counts", { handler: "src/counts.handler", link: [limits] });
    return { colour: colour.value };
  },
});
`;

const API = `
import { Resource } from "livedev";
export const handler = async (event: { print?: boolean }) => {
  if (event.print) {
    console.log("key is", Resource.StripeKey.value);
    throw new Error("refused: " + process.env.STRIPE);
  }
  return { key: Resource.StripeKey.value, env: process.env.STRIPE, colour: Resource.Colour.value };
};
`;

const PLAIN = `
import { Resource } from "livedev";
export const handler = async () => Resource.StripeKey.value;
`;

const COUNTS = `
import { Resource } from "livedev";
export const handler = async () => ({ perDay: Resource.Limits.perDay });
`;

/** Nothing that any list of names or looks would take for a credential. */
const VALUES = { first: "planted walrus 4478 first", second: "planted walrus 4478 second" } as const;

const rig = Rig.open({
  files: {
    "livedev.config.ts": CONFIG,
    "src/api.ts": API,
    "src/plain.ts": PLAIN,
    "src/counts.ts": COUNTS,
  },
});
t.teardown(() => rig[Symbol.asyncDispose]());

const secret = (verb: string, ...args: readonly string[]) => rig.livedev("secret", verb, ...args);
const set = (name: string, value: string, ...args: readonly string[]) =>
  rig.run("livedev.js", ["secret", "set", name, ...args], value);

/** As `set`, without a process. */
async function give(name: string, value: string, fallback = false): Promise<void> {
  await using client = await rig.connect();
  await client.call("secret.set", { values: { [name]: value }, fallback });
}

async function invoke(functionName = "Api", event = "{}"): Promise<Record<string, unknown>> {
  await using client = await rig.connect();
  const { payload } = await client.call("function.invoke", { functionName, event });
  return JSON.parse(payload) as Record<string, unknown>;
}

t.test(
  "a secret without a value says which command sets it, and one that is not linked which line",
  async (t) => {
    await rig.start();
    const { code, stdout } = await rig.livedev("invoke", "Api", "--event", "{}");
    t.equal(code, 4);
    t.match(
      (JSON.parse(stdout) as Record<string, unknown>)["errorMessage"],
      "Resource.StripeKey.value: the secret StripeKey has no value in stage dev. Set it: `livedev secret set StripeKey`.",
    );
    t.match((await invoke("Plain"))["errorMessage"], "StripeKey is not linked to Plain");
    t.match((await secret("list")).stdout, /StripeKey +no value: `livedev secret set StripeKey`/);
  },
);

t.test("set from stdin, it is in the function at its next event, and so is the next value", async (t) => {
  const { code, stdout, stderr } = await set("StripeKey", `${VALUES.first}\n`);
  t.equal(code, 0, stderr);
  t.equal(stdout, "StripeKey is set in stage dev.\n");
  t.strictSame(await invoke(), { key: VALUES.first, env: VALUES.first, colour: "blue" });
  await give("StripeKey", VALUES.second);
  t.strictSame(await invoke(), { key: VALUES.second, env: VALUES.second, colour: "blue" });
});

t.test("AWS is not asked to change anything for it", async (t) => {
  await using client = await rig.connect();
  const { events } = await client.call("event.list", { types: ["deploy.*", "secret.changed"], limit: 1000 });
  const last = events.findLastIndex(({ event }) => event.type.startsWith("deploy."));
  t.match(
    events.slice(last + 1).map(({ event }) => event),
    [
      { type: "secret.changed", names: ["StripeKey"], fallback: false, how: "set" },
      { type: "secret.changed", names: ["StripeKey"], fallback: false, how: "set" },
    ],
  );
});

t.test("another value of a link is in the function, and AWS is not asked for it either", async (t) => {
  t.strictSame(await invoke("Counts"), { perDay: 10 });
  await using client = await rig.connect();
  const loaded = deferred<number>();
  await client.subscribe({ types: ["config.loaded"] }, ([first]) => first && loaded.resolve(first.seq));
  rig.edit("livedev.config.ts", "perDay: 10", "perDay: 20");
  const seq = await loaded.promise;
  t.strictSame(await invoke("Counts"), { perDay: 20 });
  // Behind the deployment that the save began.
  await rig.start();
  const { events } = await client.call("event.list", { after: seq, types: ["deploy.stepped"], limit: 10 });
  t.strictSame(events, []);
});

t.test("the stage's own value counts before the app's fallback, that before the placeholder", async (t) => {
  await set("Colour", "crimson", "--fallback");
  t.equal((await invoke())["colour"], "crimson");
  await give("Colour", "turquoise");
  t.equal((await invoke())["colour"], "turquoise");
  t.match((await secret("list", "--reveal")).stdout, /Colour +turquoise/);
  t.notMatch((await secret("list")).stdout, "turquoise");
  t.equal((await secret("remove", "Colour")).code, 0);
  t.equal((await invoke())["colour"], "crimson");
  t.match((await secret("list")).stdout, /Colour +set, the app's fallback/);
  t.equal((await secret("remove", "Colour")).code, 1, "it has none of its own any more");
  t.equal((await secret("remove", "Colour", "--fallback")).code, 0);
  t.equal((await invoke())["colour"], "blue");
});

t.test("another stage of the project has its own, and sees the fallback at once", async (t) => {
  const { stdout } = await secret("list", "--reveal", "--stage", "other", "--json");
  await using other = await rig.connect({ stage: "other" });
  const rows = (secrets: readonly { name: string; from: string; value?: string | undefined }[]) =>
    secrets.map(({ name, from, value }) => [name, from, value]);
  t.strictSame(rows(JSON.parse(stdout) as RpcResult<"secret.list">), [
    ["Colour", "placeholder", undefined],
    ["StripeKey", "nowhere", undefined],
  ]);
  await give("StripeKey", "of every stage", true);
  t.strictSame(rows(await other.call("secret.list", { reveal: true }))[1], [
    "StripeKey",
    "fallback",
    "of every stage",
  ]);
  t.equal((await invoke())["key"], VALUES.second, "this one has its own");
  await other.call("secret.remove", { name: "StripeKey", fallback: true });
  await other.call("daemon.stop", {});
});

t.test("typed at a prompt, nothing of it is shown", async (t) => {
  const command = [process.execPath, join(ROOT, "dist", "livedev.js"), "secret", "set", "Colour"];
  const terminal = new Terminal(command, { cwd: rig.project, env: rig.env });
  await terminal.until(/Colour \(dev\): /);
  terminal.type("typed walrus\r");
  t.equal(await terminal.ended(), 0);
  t.match(terminal.shown, "Colour is set in stage dev.");
  t.notMatch(terminal.shown, "walrus");
  t.equal((await invoke())["colour"], "typed walrus");
  const interrupted = new Terminal(command, { cwd: rig.project, env: rig.env });
  await interrupted.until(/Colour \(dev\): /);
  interrupted.type("half a\u0003");
  t.equal(await interrupted.ended(), 130);
  t.equal((await invoke())["colour"], "typed walrus");
});

t.test("many at once come from a file, or from stdin", async (t) => {
  rig.save("secrets.env", `Colour="dark green"\nUnnamed=later\n`);
  t.equal((await secret("load", "secrets.env")).code, 0);
  t.equal((await invoke())["colour"], "dark green");
  t.match((await secret("list")).stdout, /Unnamed +set, not in the config/);
  const more = "Colour=olive\nMore=of it\n";
  const load = await rig.run("livedev.js", ["secret", "load", "-", "--fallback"], more);
  t.equal(load.code, 0, load.stderr);
  t.match((await secret("list")).stdout, /More +set, the app's fallback, not in the config/);
  t.equal((await invoke())["colour"], "dark green", "the stage has its own");
  t.equal((await secret("remove", "Colour")).code, 0);
  t.equal((await invoke())["colour"], "olive", "from stdin");
});

t.test("what cannot be a secret is refused in a sentence", async (t) => {
  const onLine = await secret("set", "StripeKey", "abc");
  t.equal(onLine.code, 2);
  t.match(onLine.stderr, "does not belong on a command line");
  t.match((await set("StripeKey", "")).stderr, "The value of StripeKey is empty.");
  t.match((await set("../x", "abc")).stderr, '"../x" cannot be a secret\'s name.');
  t.match((await secret("load", "none.env")).stderr, "none.env cannot be read");
  t.match((await set("Unheard", "abc")).stderr, 'names no secret Unheard yet: write new Secret("Unheard")');
  t.match((await invoke())["key"], VALUES.second, "nothing has changed");
});

t.test(
  "a planted secret stands in clear in no file, no list of processes and no other's environment",
  async (t) => {
    const asked = await invoke("Api", '{"print":true}');
    t.match(asked["errorMessage"], VALUES.second, "the caller gets what the handler says");
    t.match((await rig.livedev("logs", "--json")).stdout, "key is «sealed»");
    const history = (await rig.livedev("history", "--json")).stdout;
    t.match(history, "refused: «sealed»");
    const { id } = JSON.parse(history.split("\n")[0] ?? "") as { id: number };
    t.notMatch((await rig.livedev("history", String(id), "--json")).stdout, "walrus 4478");
    t.match((await rig.livedev("history", String(id), "--json", "--reveal")).stdout, "walrus 4478");
    t.notMatch((await rig.livedev("plan", "--json")).stdout, "walrus");
    t.notMatch((await rig.livedev("state", "export")).stdout, "walrus");
    t.notMatch((await rig.livedev("doctor")).stdout, "walrus");
    t.strictSame(planted(rig, ["walrus 4478"]), []);
    const folder = join(rig.project, ".livedev", "_secrets");
    for (const name of readdirSync(folder, { recursive: true }) as string[]) {
      const { mode } = statSync(join(folder, name));
      t.equal(mode & 0o077, 0, name);
    }
  },
);

t.test("a restart keeps them; one that was changed on the disk is named", async (t) => {
  t.equal((await rig.livedevd("restart")).code, 0);
  t.equal((await invoke())["key"], VALUES.second);
  const file = join(".livedev", "_secrets", "dev", "StripeKey");
  rig.save(
    file,
    rig.read(file).replace(/^./, (first) => (first === "A" ? "B" : "A")),
  );
  t.match((await secret("list")).stderr, /The secret StripeKey cannot be opened: .*Set it anew/s);
  await give("StripeKey", VALUES.first);
  t.equal((await invoke())["key"], VALUES.first);
  t.ok(readFileSync(join(rig.project, file), "utf8").length > 0);
});
