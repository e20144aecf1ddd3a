/**
 * Local code in the VPC: functions by the hook, commands by fixed ports, SOCKS and preloading. All servers are real,
 * and only the bastion reaches them.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";

import t from "tap";

import {
  CLIENTS,
  clientsMissing,
  mariadbMissing,
  postgresMissing,
  proxychainsMissing,
  PSQL,
  redisMissing,
} from "../support/parts.ts";
import { BASTION_INSIDE, INSIDE, LAPTOP, Net, netMissing } from "./net.ts";
import { certificate, Laptop, startMariaDb, startPostgres, startRedis } from "./rig.ts";

const skip =
  netMissing || postgresMissing || mariadbMissing || redisMissing || clientsMissing || proxychainsMissing;

/** One handler for all: each question is a client of its own, as users write it. */
const ASK = `
import { readFileSync } from "node:fs";
import net, { connect as namedConnect } from "node:net";
import tls from "node:tls";
import http from "node:http";
import http2 from "node:http2";
import dns from "node:dns/promises";
import { Worker } from "node:worker_threads";
import { spawnSync } from "node:child_process";
import pg from "pg";
import mysql from "mysql2/promise";
import Redis from "ioredis";
import { request as undiciRequest } from "undici";
import { S3Client, ListBucketsCommand } from "@aws-sdk/client-s3";

const ca = process.env.CA && readFileSync(process.env.CA);
const login = { user: "ada", password: "planted", database: "shop" };
const failing = (error) => ({ code: error.code ?? error.cause?.code, message: error.message });
const port = (where) => new Promise((resolve) => {
  const socket = net.connect(where, () => { resolve({ remote: socket.remoteAddress + ":" + socket.remotePort }); socket.destroy(); });
  socket.on("error", (error) => resolve(failing(error)));
});

const CASES = {
  async pg({ host }) {
    const client = new pg.Client({ host, ...login });
    await client.connect();
    const { rows } = await client.query("select 6 * 7 as answer");
    await client.end();
    return rows[0].answer;
  },
  async pgTls() {
    const client = new pg.Client({ host: "db.corp.internal", ...login, ssl: { ca } });
    await client.connect();
    const { rows } = await client.query("select version from pg_stat_ssl where pid = pg_backend_pid()");
    await client.end();
    return rows[0].version;
  },
  async pgPool() {
    const pool = new pg.Pool({ host: "db.corp.internal", ...login, max: 20 });
    const all = await Promise.all(Array.from({ length: 60 }, (_, n) => pool.query("select $1::int as n", [n])));
    const large = await pool.query("select repeat('x', 20000000) as text");
    await pool.end();
    return [all.reduce((sum, { rows }) => sum + rows[0].n, 0), large.rows[0].text.length];
  },
  async mysql({ host }) {
    const client = await mysql.createConnection({ host, ...login });
    const [rows] = await client.query("select 6 * 7 as answer");
    await client.end();
    return rows[0].answer;
  },
  async redis({ host, tls: byTls }) {
    const client = new Redis({ host, password: "planted", ...(byTls && { port: 6380, tls: { ca } }), lazyConnect: true });
    await client.connect();
    await client.set("last", "book");
    const pipeline = client.pipeline();
    for (let n = 0; n < 1000; n++) pipeline.incr("count");
    await pipeline.exec();
    const found = [await client.get("last"), await client.getdel("count")];
    client.disconnect();
    return found;
  },
  http: ({ url }) => new Promise((resolve, reject) => http.get(url, (response) => {
    let text = "";
    response.on("data", (part) => (text += part)).on("end", () => resolve(text));
  }).on("error", reject)),
  fetch: async ({ url }) => (await fetch(url)).text(),
  undici: async ({ url }) => (await undiciRequest(url)).body.text(),
  async s3() {
    const client = new S3Client({ region: "us-east-1", endpoint: "http://api.corp.internal:8080", credentials: { accessKeyId: "a", secretAccessKey: "b" }, maxAttempts: 1 });
    const { Buckets } = await client.send(new ListBucketsCommand({}));
    return Buckets.map(({ Name }) => Name);
  },
  tls: () => new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "api.corp.internal", port: 8443, ca }, () => resolve([socket.authorized, socket.getPeerCertificate().subject.CN]));
    socket.on("error", reject);
  }).then((found) => found),
  http2: () => new Promise((resolve, reject) => {
    const session = http2.connect("https://api.corp.internal:8443", { ca });
    session.on("error", reject);
    session.on("connect", () => { resolve(session.alpnProtocol); session.destroy(); });
  }),
  port,
  named: (where) => new Promise((resolve, reject) => {
    const socket = namedConnect(where.port, where.host, () => { resolve("connected"); socket.destroy(); }).on("error", reject);
  }),
  early: (where) => new Promise((resolve) => {
    const socket = net.connect(where);
    socket.on("close", () => resolve("closed"));
    socket.destroy();
  }),
  lookup: async ({ host }) => (await dns.lookup(host)).address,
  thread: () => new Promise((resolve, reject) => {
    const code = 'require("node:net").connect(5432, "db.corp.internal", () => require("node:worker_threads").parentPort.postMessage("in a thread")).unref()';
    new Worker(code, { eval: true, env: {}, execArgv: [] }).on("message", resolve).on("error", reject);
  }),
  child: () => spawnSync(process.execPath, ["-e", 'require("node:net").connect(5432, "db.corp.internal", function () { console.log("in a child"); this.destroy(); })'], { encoding: "utf8" }).stdout.trim(),
};

export const handler = async ({ ask, ...rest }) => {
  try {
    return { is: await CASES[ask](rest) };
  } catch (error) {
    return { failed: failing(error) };
  }
};
`;

t.test("the VPC from here", { skip }, async (t) => {
  await using net = await Net.open();
  certificate(net, "db.corp.internal");
  await Promise.all([startPostgres(net), startMariaDb(net), startRedis(net)]);
  const api = createHttpServer((request, response) => {
    if (request.headers.authorization !== undefined)
      response.end(
        "<ListAllMyBucketsResult><Buckets><Bucket><Name>private</Name></Bucket></Buckets></ListAllMyBucketsResult>",
      );
    else response.end(`${request.headers.host} from ${request.socket.remoteAddress}`);
  });
  api.listen(await net.listen("inside", INSIDE, 8080));
  const secure = createHttpsServer({
    key: readFileSync(net.file("tls.key")),
    cert: readFileSync(net.file("tls.crt")),
    ALPNProtocols: ["h2", "http/1.1"],
  });
  secure.listen(await net.listen("inside", INSIDE, 8443));
  // What must not be reached: EC2's metadata on the bastion's link, and this machine's own loopback over the bastion.
  net.run("bastion", ["ip", "addr", "add", "169.254.169.254/32", "dev", "lo"]);
  const metadata = await net.listen("bastion", "169.254.169.254", 80);
  const secrets: string[] = [];
  metadata.on("connection", () => secrets.push("metadata"));
  const outside = createHttpServer((_request, response) => response.end("outside"));
  outside.listen(await net.listen("router", "203.0.113.1", 8080));
  t.teardown(() => {
    for (const server of [api, secure, outside]) {
      server.closeAllConnections();
      server.close();
    }
    metadata.close();
  });

  await using laptop = Laptop.open(net, {
    bastion: { names: ["*.corp.internal"] },
    run: `
      const login = { username: "ada", password: "planted", database: "shop" };
      const link = [
        new Linkable("Db", { properties: { host: "db.corp.internal", port: 5432, ...login } }),
        new Linkable("Maria", { properties: { host: "${INSIDE}", port: 3306, ...login } }),
        new Linkable("Cache", { properties: { host: "cache.corp.internal", port: 6379, password: "planted" } }),
      ];
      new aws.Function("Ask", { handler: "src/ask.handler", timeout: "30 seconds", link, environment: { CA: "${net.file("tls.crt")}" } });`,
    files: { "src/ask.js": ASK },
  });
  const { rig } = laptop;
  rig.install(
    Object.fromEntries(["pg", "mysql2", "ioredis", "undici"].map((name) => [name, join(CLIENTS, name)])),
  );
  await using watched = await laptop.watch();
  const up = await watched.next("tunnel.connected");
  t.equal(up.problem, undefined, "the way in was tried, and leads here");

  const ask = async (question: Record<string, unknown>): Promise<unknown> => {
    const answer = await watched.client.call("function.invokeLocal", {
      functionName: "Ask",
      event: JSON.stringify(question),
    });
    return JSON.parse(answer.payload);
  };

  await t.test("clients of databases and APIs work unchanged, by private name and by address", async (t) => {
    const hosts = ["db.corp.internal", INSIDE];
    for (const host of hosts) {
      t.strictSame(await ask({ ask: "pg", host }), { is: 42 });
      t.strictSame(await ask({ ask: "mysql", host }), { is: 42 });
      t.strictSame(await ask({ ask: "redis", host }), { is: ["book", "1000"] });
    }
    t.match(await ask({ ask: "pgTls" }), { is: /^TLSv1/ });
    t.strictSame(await ask({ ask: "pgPool" }), { is: [1770, 20_000_000] });
    t.strictSame(await ask({ ask: "redis", host: "cache.corp.internal", tls: true }), {
      is: ["book", "1000"],
    });
    const url = "http://api.corp.internal:8080/";
    const from = { is: "api.corp.internal:8080 from 10.77.0.10" };
    t.strictSame(await ask({ ask: "fetch", url }), from);
    t.strictSame(await ask({ ask: "undici", url }), from);
    t.strictSame(await ask({ ask: "http", url }), from);
    t.strictSame(await ask({ ask: "s3" }), { is: ["private"] });
    t.strictSame(await ask({ ask: "tls" }), { is: [true, "db.corp.internal"] });
    t.strictSame(await ask({ ask: "http2" }), { is: "h2" });
  });

  await t.test("the ways in which programs connect, and what they see", async (t) => {
    const db = { host: "db.corp.internal", port: 5432 };
    t.strictSame(await ask({ ask: "port", ...db }), { is: { remote: `${INSIDE}:5432` } });
    t.strictSame(await ask({ ask: "named", ...db }), { is: "connected" });
    t.strictSame(await ask({ ask: "early", ...db }), { is: "closed" });
    t.strictSame(await ask({ ask: "lookup", host: "db.corp.internal" }), { is: INSIDE });
    t.strictSame(await ask({ ask: "thread" }), { is: "in a thread" });
    t.strictSame(await ask({ ask: "child" }), { is: "in a child" });
    t.match(await ask({ ask: "port", host: INSIDE, port: 9 }), { is: { code: "ECONNREFUSED" } });
    t.match(await ask({ ask: "port", host: "10.77.0.99", port: 9 }), { is: { code: "EHOSTUNREACH" } });
    t.match(await ask({ ask: "port", host: "none.corp.internal", port: 9 }), { is: { code: "ENOTFOUND" } });
    t.strictSame(await ask({ ask: "fetch", url: "http://203.0.113.1:8080/" }), { is: "outside" });
  });

  const status = await watched.client.call("tunnel.status", {});
  if (status.state === "off") throw new Error("no tunnel");
  const socks = `127.0.0.1:${status.socks?.port}`;
  // Not spawnSync: the servers are this process's own.
  const curl = (...words: readonly string[]) => net.finished("laptop", ["curl", "-sS", "-m", "10", ...words]);

  await t.test("nothing but the ranges goes through, whatever name leads elsewhere", async (t) => {
    const refused = { host: "metadata.corp.internal", port: 80 };
    t.match(await ask({ ask: "port", ...refused }), { is: { code: "ENOTFOUND" } });
    t.match(await ask({ ask: "port", host: "laptop.corp.internal", port: 80 }), {
      is: { code: "ENOTFOUND" },
    });
    for (const host of ["169.254.169.254", "metadata.corp.internal", "127.0.0.1", "localhost", "[::1]"]) {
      const { code, stderr } = await curl("-x", `socks5h://${socks}`, `http://${host}:80/`);
      t.not(code, 0, `${host}: ${stderr}`);
    }
    t.strictSame(secrets, [], "EC2's metadata was not asked");
    // The address at which stubs reach us is in the range, and leads back to us.
    const [host = "", port] = (status.address ?? "").split(":");
    t.match(await ask({ ask: "port", host, port: Number(port) }), { is: { code: "EACCES" } });
  });

  await t.test("SOCKS5 for programs that know it: names and addresses in, the rest as without", async (t) => {
    for (const url of ["http://api.corp.internal:8080/", `http://${INSIDE}:8080/`]) {
      t.match((await curl("-x", `socks5h://${socks}`, url)).stdout, /from 10\.77\.0\.10$/);
    }
    t.equal((await curl("-x", `socks5h://${socks}`, "http://203.0.113.1:8080/")).stdout, "outside");
    t.match((await curl("-x", `socks5h://${socks}`, `http://${INSIDE}:9/`)).stderr, /SOCKS|refused/i);
    t.not((await curl(`http://${socks}/`)).code, 0, "a web page's request is no greeting");
  });

  await t.test("fixed ports and their variables in `livedev run`; psql both ways", async (t) => {
    const answer = (finished: { stdout: string; stderr: string }) =>
      finished.stdout.trim() || finished.stderr;
    const sql = ["-XAtc", "select current_database(), 6 * 7"];
    t.equal(answer(await rig.livedev("run", "--", PSQL, ...sql)), "shop|42");
    const named = [PSQL, "-h", "db.corp.internal", "-p", "5432", ...sql];
    t.match(answer(await rig.livedev("run", "--", ...named)), /could not translate/, "psql knows no tunnel");
    t.equal(answer(await rig.livedev("tunnel", "run", "--", ...named)), "shop|42");
    const address = [PSQL, "-h", INSIDE, "-p", "5432", ...sql];
    t.equal(answer(await rig.livedev("tunnel", "run", "--", ...address)), "shop|42");
    const maria = "mariadb --protocol=tcp -u ada -N -e 'select 6 * 7' shop";
    t.equal(answer(await rig.livedev("run", "--", "sh", "-c", maria)), "42");
    const redis = 'redis-cli --no-auth-warning -u "$REDIS_URL" ping';
    t.equal(answer(await rig.livedev("run", "--", "sh", "-c", redis)), "PONG");
    const node = `require("net").connect(5432, "db.corp.internal", function () { console.log(process.env.NODE_OPTIONS.split(" ")[0], this.remoteAddress); this.destroy(); })`;
    rig.env["NODE_OPTIONS"] = "--no-warnings";
    t.equal(answer(await rig.livedev("run", "--", "node", "-e", node)), `--no-warnings ${INSIDE}`);
    delete rig.env["NODE_OPTIONS"];
    const shown = (await rig.livedev("env")).stdout;
    t.match(shown, /^PGHOST=127\.0\.0\.1$/m);
    t.notMatch(shown, /planted/, "passwords are redacted");
    t.match(
      (await rig.livedev("tunnel", "status")).stdout,
      /127\.0\.0\.1:15432 +Db \(db\.corp\.internal:5432\)/,
    );
  });

  await t.test("another user of this machine gets nothing, and doctor tells", async (t) => {
    const port = status.ports.find(({ name }) => name === "Db")?.local;
    const stranger = [
      ...net.inside("laptop"),
      "setpriv",
      "--reuid=nobody",
      "--regid=nogroup",
      "--clear-groups",
    ];
    const [file, ...words] = [...stranger, PSQL, "-XAtc", "select 1"];
    const tried = spawnSync(file, words, {
      encoding: "utf8",
      env: {
        PATH: "/usr/bin:/bin",
        PGHOST: "127.0.0.1",
        PGPORT: String(port),
        PGUSER: "ada",
        PGPASSWORD: "planted",
      },
    });
    t.not(tried.status, 0);
    t.match(tried.stderr, /closed the connection|reset/);
    const [curlFile, ...curlWords] = [
      ...stranger,
      "curl",
      "-sS",
      "-x",
      `socks5h://${socks}`,
      "http://api.corp.internal:8080/",
    ];
    t.not(spawnSync(curlFile, curlWords, { encoding: "utf8" }).status, 0);
    t.match(
      (await rig.livedev("doctor")).stdout,
      /2 requests were refused at the tunnel's local ports: another user/,
    );
  });

  await t.test("nothing of the tunnel's is readable by others", async (t) => {
    const folder = join(rig.project, ".livedev", rig.stage, "tunnel");
    t.equal(statSync(folder).mode & 0o777, 0o700);
    for (const name of readdirSync(folder)) t.equal(statSync(join(folder, name)).mode & 0o077, 0, name);
    const run = join(rig.root, "run", "livedev-0");
    for (const name of readdirSync(run)) t.equal(statSync(join(run, name)).mode & 0o077, 0, name);
    const { mode } = statSync(join(rig.project, ".livedev", rig.stage, "state.json"));
    t.equal(mode & 0o077, 0);
    writeFileSync(join(rig.root, "log"), rig.daemonLog());
    t.notMatch(rig.daemonLog(), /PRIVATE KEY|planted/);
  });

  const { outward } = await watched.client.call("tunnel.status", {}).then((now) => {
    if (now.state === "off") throw new Error("no tunnel");
    return now;
  });
  t.comment(
    `${outward.opened} connections into the VPC, ${outward.bytesIn} bytes from there, ${LAPTOP} alone`,
  );
  t.ok(outward.opened > 40 && outward.bytesIn > 20_000_000);
});

const PROBE = `
import { connect } from "node:net";
const socket = connect(5432, "db.corp.internal", () => socket.write("x".repeat(300_000)));
socket.on("error", ({ message }) => console.log("failed: " + message));
socket.on("data", (text) => console.log("answered: " + text));
`;

t.test(
  "dev commands reach the VPC, too; who watches the tunnel sees what goes through it, and what became of it",
  { skip: netMissing },
  async (t) => {
    await using net = await Net.open();
    const server = await net.listen("inside", INSIDE, 5432);
    server.on("connection", (socket) => {
      let got = 0;
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        got += bytes.length;
        if (got === 300_000) socket.write(`to ${socket.remoteAddress}`);
      });
    });
    t.teardown(() => server.close());
    await using laptop = Laptop.open(net, {
      local: true,
      bastion: { names: ["*.corp.internal"] },
      run: `new DevCommand("Probe", { dev: { command: "node probe.mjs", autostart: false } });`,
      files: { "probe.mjs": PROBE },
    });
    const { rig } = laptop;
    await rig.start();
    const watch = rig.spawn("livedev.js", ["tunnel", "status", "--watch"]);
    let shown = "";
    watch.stdout?.setEncoding("utf8").on("data", (text: string) => (shown += text));
    const shows = async (what: RegExp): Promise<void> => {
      while (!what.test(shown)) await once(watch.stdout as Readable, "data");
      t.match(shown, what);
    };
    await shows(/the tunnel to 203\.0\.113\.10 is up/);
    await shows(/outward +0 +0 /);

    await using client = await rig.connect();
    await client.call("process.start", { name: "Probe" });
    let said = "";
    for (let after = 0; !/answered|failed/.test(said);) {
      const { cursor, text } = await client.call("process.output", { name: "Probe", after, waitMs: 5_000 });
      said += text;
      after = cursor;
    }
    t.match(said, `answered: to ${BASTION_INSIDE}`);
    await shows(/outward +1 +1 +\d+ B [^\n]* 300\.0 KB/);
    await client.call("process.stop", { name: "Probe" });
    await shows(/outward +0 +1 /);

    await net.stopSshd();
    await shows(/the tunnel to 203\.0\.113\.10 is lost/);
    shown = "";
    await net.startSshd();
    await shows(/203\.0\.113\.10: up since[^]*is lost[^]*is up/);
    watch.kill("SIGINT");
    await once(watch, "exit");
    const exceptions = /but for dns\.resolve\* of private names, UDP, IPv6, and add-ons/;
    t.match((await rig.livedev("doctor")).stdout, exceptions, "what does not reach it is said");
  },
);
