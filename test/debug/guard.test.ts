/** Who may attach: F37 and F38 for the debuggers' port. And when a worker can be attached to at all. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { request } from "node:http";

import t from "tap";
import { WebSocket } from "ws";

import { Cdp } from "./cdp.ts";
import { Debugged } from "./support.ts";

const debugged = await Debugged.open(["One"]);
t.teardown(() => debugged[Symbol.asyncDispose]());
const { rig, port } = debugged;
const host = `127.0.0.1:${port}`;

function statusOf(path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on("upgrade", (_response, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on("error", reject);
    asked.end();
  });
}

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
};

const asRoot = { skip: process.geteuid?.() === 0 ? false : "only root can try as another user" };

/** What this program prints as another user of the machine. */
function asNobody(program: string): string {
  const drop = ["--reuid=65534", "--regid=65534", "--clear-groups", process.execPath];
  return spawnSync("setpriv", [...drop, "-e", program], { encoding: "utf8", cwd: "/" }).stdout.trim();
}

const statusAsNobody = (address: string) =>
  asNobody(`fetch("http://${address}").then((r) => console.log(r.status), (e) => console.log(e.cause.code))`);

async function listed(): Promise<{ id: string; webSocketDebuggerUrl: string }[]> {
  return (await (await fetch(`http://${host}/json/list`)).json()) as never;
}

t.test("no web page, no rebound name and no guessed id is taken, and doctor tells", async (t) => {
  const refused: readonly Record<string, string>[] = [
    { host: `evil.example:${port}` },
    { host: `127.1:${port}` },
    { host: "127.0.0.1:1" },
    { host, origin: "http://evil.example" },
    { host, origin: "null" },
    { host, origin: `http://127.0.0.1:${port}` },
    { host, origin: "devtools://devtools.evil.example" },
  ];
  const [{ id } = { id: "" }] = await listed();
  t.match(id, /^[0-9a-f-]{32,}$/);
  for (const headers of refused) {
    t.equal(await statusOf("/json/list", headers), 403, JSON.stringify(headers));
    t.equal(await statusOf(`/${id}`, { ...headers, ...UPGRADE }), 403, JSON.stringify(headers));
  }
  // js-debug says no port, DevTools has an Origin of its own.
  for (const headers of [{ host: "localhost" }, { host, origin: "devtools://devtools" }]) {
    t.equal(await statusOf("/json/list", headers), 200, JSON.stringify(headers));
  }
  const guess = new WebSocket(`ws://${host}/${"0".repeat(id.length)}`);
  const code = await new Promise((resolve) => guess.once("close", resolve));
  t.equal(code, 1008, "nothing has that id");
  const { stdout } = await rig.livedev("doctor");
  const counts = [...stdout.matchAll(/(\d+) requests? (?:was|were) refused at the inspector:/g)];
  t.equal(
    counts.reduce((sum, [, count]) => sum + Number(count), 0),
    2 * refused.length + 1,
    stdout,
  );
});

t.test("another user of the machine is refused", asRoot, async (t) => {
  t.equal(statusAsNobody(`${host}/json/list`), "403");
  t.equal(statusAsNobody(`${host}/json/version`), "403");
});

t.test("a worker listens for debuggers while one is attached, and tells nobody where", async (t) => {
  if (process.platform !== "linux") return t.comment("reads /proc");
  const inspectors = () =>
    debugged.events.flatMap((event) =>
      event.type === "worker.started" ? [listensAt(event.pid)].filter((at) => at !== undefined) : [],
    );
  await debugged.invoke("One");
  t.same(inspectors(), [], "nobody is attached");
  const client = await Cdp.ofFunction(port, "One");
  await client.send("Runtime.runIfWaitingForDebugger");
  await debugged.invoke("One");
  const [address = ""] = inspectors();
  for (const path of ["/json/list", "/json/version"]) {
    t.equal((await fetch(`http://127.0.0.1:${address}${path}`)).status, 404, path);
  }
  const from = debugged.events.length;
  await client[Symbol.asyncDispose]();
  await debugged.recorded("worker.exited", () => true, from);
  await debugged.invoke("One");
  t.same(inspectors(), [], "nobody is attached any more");
});

t.test("with --token the port names no address, and who has one attaches", async (t) => {
  const before = await listed();
  const { stdout, code } = await rig.livedev("debug", "on", "--token");
  t.equal(code, 0);
  const of = (pattern: RegExp) => pattern.exec(stdout)?.[1] ?? "";
  const root = of(/websocketAddress`:\n +(ws:\S+)/);
  const one = of(/One {2}(ws:\S+)/);
  t.equal(one, before[0]?.webSocketDebuggerUrl);
  for (const path of ["/json/list", "/json/version", "/json"]) {
    t.equal(await statusOf(path, { host }), 404, path);
  }
  for (const address of [root, one]) {
    await using client = await Cdp.open(address);
    t.same(await client.send("Runtime.runIfWaitingForDebugger"), {});
  }
  await debugged.killDaemon();
  t.equal(await statusOf("/json/version", { host }), 404, "so it stays after a kill");
  await using client = await Cdp.open(root);
  t.same(await client.send("Runtime.enable"), {});
  await debugged.client.call("debug.off", {});
  await debugged.client.call("debug.on", { port });
  t.equal(await statusOf("/json/version", { host }), 200, "until it is switched off");
});

/** The port that this process listens on, beside none. */
function listensAt(pid: number): number | undefined {
  let own: string[];
  try {
    own = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  } catch {
    return undefined;
  }
  const LISTENS = "0A";
  for (const row of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
    const [, local = "", , state, , , , , , inode] = row.trim().split(/\s+/);
    if (state === LISTENS && own.includes(`socket:[${inode}]`))
      return Number.parseInt(local.split(":")[1] ?? "", 16);
  }
  return undefined;
}
