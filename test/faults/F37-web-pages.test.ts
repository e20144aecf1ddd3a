/**
 * F37: a web page in the user's browser, and whatever else can reach a loopback port, against each port that is open:
 * the local cloud's API, a function's URL, a worker's Runtime API, the bridge; and the control socket, should somebody
 * forward it. What they send is counted; what they changed is nothing.
 */
import { readFileSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";

import t, { type Test } from "tap";

import { Rig } from "../support/rig.ts";
import { FILES } from "./support.ts";

const PAGES = {
  ...FILES,
  "livedev.config.ts": FILES["livedev.config.ts"].replace(
    'handler: "src/echo.handler"',
    'handler: "src/echo.handler", url: { cors: false }',
  ),
};

type Attack = {
  readonly method?: string;
  readonly path?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
};

/** What a browser, or a page with a name that was rebound to this machine, sends to `port`. */
const attacks = (port: number): Readonly<Record<string, Attack>> => ({
  "a page's form": {
    method: "POST",
    headers: { origin: "http://evil.example", "content-type": "application/x-www-form-urlencoded" },
    body: "Action=ListRoles&Version=2010-05-08",
  },
  "a page's fetch without CORS": {
    method: "POST",
    headers: { origin: "http://evil.example", "content-type": "text/plain", "sec-fetch-site": "cross-site" },
    body: "{}",
  },
  "a sandboxed frame": { method: "POST", headers: { origin: "null" }, body: "{}" },
  "a page of another local port": {
    method: "POST",
    headers: { origin: "http://localhost:3000" },
    body: "{}",
  },
  "a preflight": {
    method: "OPTIONS",
    headers: { origin: "http://evil.example", "access-control-request-method": "POST" },
  },
  "a rebound name": { method: "POST", headers: { host: `evil.example:${port}` }, body: "{}" },
  "a name that ends like ours": { headers: { host: `127.0.0.1.evil.example:${port}` } },
  "127.1": { headers: { host: `127.1:${port}` } },
  "the address as a number": { headers: { host: `2130706433:${port}` } },
  "0.0.0.0": { headers: { host: `0.0.0.0:${port}` } },
  "another port": { headers: { host: "127.0.0.1:1" } },
  "a cross-site WebSocket": {
    headers: {
      origin: "http://evil.example",
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
  },
});

type Answer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
};

function send(to: { port: number } | { socketPath: string }, attack: Attack): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = "GET", path = "/", headers, body } = attack;
    const asked = request({ host: "127.0.0.1", ...to, method, path, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (more: string) => (text += more));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
      );
    });
    asked.on("upgrade", (_response, socket) => {
      socket.destroy();
      resolve({ status: 101, headers: {}, text: "" });
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

/** Each attack at each of these paths is refused, and no page may read the answer. Gives how many there were. */
async function refuses(t: Test, port: number, paths: readonly string[], except: readonly string[] = []) {
  let count = 0;
  for (const path of paths) {
    for (const [name, attack] of Object.entries(attacks(port))) {
      if (except.includes(name)) continue;
      const { status, headers } = await send({ port }, { ...attack, path });
      t.ok(status >= 400 && status < 500, `${name} at ${path}: ${status}`);
      t.equal(headers["access-control-allow-origin"], undefined, `${name} at ${path}: no page may read it`);
      count += 1;
    }
  }
  return count;
}

const rig = Rig.open({ files: PAGES });
t.teardown(() => rig[Symbol.asyncDispose]());
const { Echo: url = "" } = await rig.start();
const client = await rig.connect();
t.teardown(() => client[Symbol.asyncDispose]());
const { socket } = JSON.parse(rig.read(`.livedev/${rig.stage}/daemon.json`)) as { socket: string };

const echo = async () => (await client.call("function.invoke", { functionName: "Echo", event: "1" })).payload;

t.test(
  "F37: web pages and rebound names reach neither cloud, function URL, worker, bridge nor daemon",
  async (t) => {
    const before = await client.call("daemon.status", {});
    const cloud = JSON.parse(readFileSync(join(rig.project, ".livedev/cloud/serving.json"), "utf8")) as {
      endpoint: string;
    };
    const portOf = (address: string) => Number(new URL(address).port);
    const counts: Record<string, number> = {};

    counts["cloud"] = await refuses(t, portOf(cloud.endpoint), [
      "/",
      "/2015-03-31/functions",
      "/2015-03-31/functions/Echo/invocations",
      "/livedev/status",
      "/../../../../etc/passwd",
      "/%2e%2e/%2e%2e/serving.json",
    ]);
    // Without keys, from this machine, with the right Host: refused too.
    for (const path of ["/2015-03-31/functions", "/livedev/status"]) {
      counts["cloud"] += 1;
      t.ok((await send({ port: portOf(cloud.endpoint) }, { path, headers: {} })).status >= 400, path);
    }

    // A function URL is there for pages: any Origin may send, and only the function's own CORS config lets them read.
    const open = Object.entries(attacks(0)).flatMap(([name, { headers }]) =>
      "origin" in headers ? [name] : [],
    );
    counts["function URL"] = await refuses(t, portOf(url), ["/", "/%2e%2e/"], open);
    for (const name of open) {
      const attack = attacks(portOf(url))[name] ?? { headers: {} };
      const { headers } = await send({ port: portOf(url) }, attack);
      t.equal(
        headers["access-control-allow-origin"],
        undefined,
        `${name}: no page may read a function's answer`,
      );
    }

    // The bridge speaks TLS with the stage's key: to anything else it closes.
    const bridge = portOf(before.bridge.address.replace("tls:", "https:"));
    counts["bridge"] = 0;
    for (const [name, attack] of Object.entries(attacks(bridge))) {
      const answer = await send({ port: bridge }, attack).then(
        ({ status }) => status,
        () => "closed",
      );
      t.equal(answer, "closed", `${name} at the bridge`);
      counts["bridge"] += 1;
    }

    // Each worker and each environment of the cloud has a port of its own.
    t.equal(await echo(), "1");
    const runtimes = await runtimePorts();
    t.ok(runtimes.length >= 2, "a worker's and an environment's");
    counts["Runtime API"] = 0;
    for (const port of runtimes) {
      counts["Runtime API"] += await refuses(t, port, [
        "/2018-06-01/runtime/invocation/next",
        "/2018-06-01/runtime/init/error",
      ]);
    }

    const upgrade = attacks(0)["a cross-site WebSocket"];
    if (upgrade !== undefined) {
      const { status } = await send({ socketPath: socket }, { ...upgrade, path: "/rpc" });
      t.equal(status, 404, "a forwarded control socket takes no WebSocket of a page");
      counts["control socket"] = 1;
    }

    const after = await client.call("daemon.status", {});
    t.same(
      after.functions.map(({ name, codeHash, state }) => ({ name, codeHash, state })),
      before.functions.map(({ name, codeHash, state }) => ({ name, codeHash, state })),
      "nothing was changed",
    );
    t.equal(await echo(), "1", "and all goes on");

    const told = await refusedBy();
    t.same(told, counts, "doctor tells of each");
    t.comment(JSON.stringify(counts));
  },
);

/** The ports behind which the rig's processes poll. */
async function runtimePorts(): Promise<number[]> {
  const addresses = (await rig.processes()).flatMap(({ pid }) => {
    const [, address] = /(?:^|\0)AWS_LAMBDA_RUNTIME_API=([^\0]*)/.exec(environmentOf(pid)) ?? [];
    return address === undefined ? [] : [address];
  });
  return [...new Set(addresses)].map((address) => Number(address.split(":")[1]));
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return "";
  }
}

/** What `livedev doctor` says of each kind of port. */
async function refusedBy(): Promise<Record<string, number>> {
  const { stdout } = await rig.livedev("doctor", "--json");
  const counts: Record<string, number> = {};
  for (const line of stdout.trim().split("\n")) {
    const { id, title } = JSON.parse(line) as { id: string; title: string };
    const [, count, port = ""] = /^(\d+) requests? (?:was|were) refused at ([^:]+):/.exec(title) ?? [];
    if (id !== "refused" || count === undefined) continue;
    const kind =
      { "the local cloud's API": "cloud", "a function URL": "function URL", "the bridge": "bridge" }[port] ??
      (port.includes("Runtime API") ? "Runtime API" : port.replace(/^the /, ""));
    counts[kind] = (counts[kind] ?? 0) + Number(count);
  }
  return counts;
}

t.test("F37: no port of ours is open to the network", async (t) => {
  await echo();
  const inodes = new Set<string>();
  for (const { pid } of await rig.processes()) {
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const [, inode] =
        /^socket:\[(\d+)\]$/.exec(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")) ?? [];
      if (inode !== undefined) inodes.add(inode);
    }
  }
  const listening = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) =>
    readFileSync(table, "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === "0A" && inodes.has(fields[9] ?? ""))
      .map((fields) => fields[1]?.split(":")[0]),
  );
  t.ok(listening.length >= 4, "cloud, function URL, bridge, Runtime APIs");
  t.same(
    listening.filter((address) => address !== "0100007F"),
    [],
  );
  t.comment(`${listening.length} listeners, all on 127.0.0.1`);
});

t.test("F37: a control request that is smuggled behind another is not read as one", async (t) => {
  const body = '{"jsonrpc":"2.0","id":1,"method":"daemon.stop"}';
  const both = `POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const answer = await new Promise<string>((resolve) => {
    let text = "";
    const wire = connect(socket, () => wire.write(both));
    wire.setEncoding("utf8").on("data", (more: string) => (text += more));
    wire.on("close", () => resolve(text));
  });
  t.match(answer, /^HTTP\/1\.1 400/);
  t.equal((await rig.livedev("status")).code, 0, "it runs");
});
