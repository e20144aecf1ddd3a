/** `dev: { … }` of Postgres and Redis: functions and commands find what runs on this machine, a real one of each. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import {
  INITDB,
  POSTGRES_SERVER,
  postgresMissing,
  PSQL,
  PYTHON,
  pythonMissing,
  REDIS_SERVER,
  redisMissing,
} from "../support/parts.ts";
import { freePort } from "../support/free-port.ts";
import { Rig } from "../support/rig.ts";
import { rotate, Talk } from "../support/talk.ts";

const rig = Rig.open();
t.teardown(() => rig[Symbol.asyncDispose]());
const skip = postgresMissing || redisMissing || pythonMissing;

const config = (ports: { postgres: number; redis: number }) =>
  `
import { $config, aws, Secret } from "livedev";
export default $config({
  app: () => ({ name: "shop", home: "local", removal: "remove" }),
  async run() {
    const password = new Secret("DbPassword");
    const db = new aws.Postgres("Db", { dev: { port: ${ports.postgres}, username: "ada", password: password.value, database: "shop" } });
    const cache = new aws.Redis("Cache", { dev: { host: "127.0.0.1", port: ${ports.redis}, password: "planted" } });
    new aws.Function("MyApi", {
      handler: "src/api.handler",
      link: [db, cache],
      environment: { PGHOST: db.host, PGPORT: $interpolate\`\${db.port}\`, PGUSER: db.username, PGPASSWORD: db.password, PGDATABASE: db.database },
    });
  },
});
`.replace("aws,", "$interpolate, aws,");

/** Both protocols as far as a question and its answer need them: what is shown is that the links lead there. */
const API = `
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { Resource } from "livedev";

const redis = ({ host, port, password }, ...commands) =>
  new Promise((resolve, reject) => {
    const socket = connect(port, host, () => {
      for (const words of [["AUTH", password], ...commands, ["QUIT"]])
        socket.write(\`*\${words.length}\\r\\n\${words.map((word) => \`$\${word.length}\\r\\n\${word}\\r\\n\`).join("")}\`);
    });
    let said = "";
    socket.on("data", (text) => (said += text)).on("error", reject).on("close", () => resolve(said));
  });

export const handler = async ({ item }) => {
  const { host, port, username, password, database } = Resource.Db;
  const sql = (text) => {
    const { stdout, stderr, status } = spawnSync("${PSQL}", ["-XAtc", text], { encoding: "utf8", env: {
      ...process.env, PGHOST: host, PGPORT: String(port), PGUSER: username, PGPASSWORD: password, PGDATABASE: database } });
    if (status !== 0) throw new Error(stderr);
    return stdout.trim();
  };
  sql("create table if not exists items (name text)");
  sql(\`insert into items values ('\${item}')\`);
  const said = await redis(Resource.Cache, ["SET", "last", item], ["GET", "last"]);
  return { count: Number(sql("select count(*) from items")), last: said.split("\\r\\n").at(-3), types: [typeof port, typeof Resource.Cache.port] };
};
`;

const WHO_PY = `
import boto3, json
arn = boto3.client("sts").get_caller_identity()["Arn"]
print(json.dumps({"arn": arn, "key": boto3._get_default_session().get_credentials().access_key}))
`;

/** PostgreSQL refuses to run as root: there, as the user that its package makes. */
const unprivileged: readonly string[] =
  process.getuid?.() === 0
    ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
    : ["env"];

function start(command: readonly string[], until: RegExp): Promise<ChildProcess> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/" });
  t.teardown(async () => {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGINT");
    if (child.exitCode === null) await gone;
  });
  return new Promise((resolve, reject) => {
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (until.test(said)) resolve(child);
      });
    }
    child.on("error", reject).on("exit", () => reject(new Error(said)));
  });
}

t.test("a real PostgreSQL and a real Redis are used through links", { skip }, async (t) => {
  const ports = { postgres: await freePort(), redis: await freePort() };
  const data = join(rig.root, "pg");
  mkdirSync(data);
  if (process.getuid?.() === 0) {
    const id = Number(spawnSync("id", ["-u", "postgres"], { encoding: "utf8" }).stdout);
    chownSync(data, id, id);
    spawnSync("chmod", ["a+x", rig.root]);
  }
  const [first = "", ...more] = unprivileged;
  const made = spawnSync(first, [...more, INITDB, "-D", join(data, "data"), "-A", "trust", "-U", "ada"], {
    encoding: "utf8",
    cwd: "/",
  });
  t.equal(made.status, 0, made.stderr);
  const postgres = [POSTGRES_SERVER, "-D", join(data, "data"), "-p", String(ports.postgres), "-k", data];
  await start([...unprivileged, ...postgres], /ready to accept connections/);
  const as = { ...process.env, PGHOST: "127.0.0.1", PGPORT: String(ports.postgres), PGUSER: "ada" };
  spawnSync(PSQL, ["-Xc", "create database shop", "postgres"], { env: as });
  await start(
    [
      REDIS_SERVER,
      "--port",
      String(ports.redis),
      "--requirepass",
      "planted",
      "--save",
      "",
      "--dir",
      rig.root,
    ],
    /Ready to accept connections/,
  );

  rig.save("livedev.config.ts", config(ports));
  rig.save("src/api.js", API);
  rig.save("who.py", WHO_PY);
  await rig.start();
  await rig.run("livedev.js", ["secret", "set", "DbPassword"], "of the database");
  const invoke = async (item: string) => {
    const { stdout } = await rig.livedev("invoke", "MyApi", "--event", JSON.stringify({ item }));
    return JSON.parse(stdout) as unknown;
  };
  const types = ["number", "number"];
  t.strictSame(await invoke("book"), { count: 1, last: "book", types });
  t.strictSame(await invoke("lamp"), { count: 2, last: "lamp", types });

  const psql = new Talk(rig, ["--as", "MyApi", "--", PSQL, "-XAt"]);
  t.equal(await psql.say("select count(*) from items;"), "2");
  const who = async () => JSON.parse(await psql.say(`\\! ${PYTHON} who.py`)) as { arn: string; key: string };
  const before = await who();
  t.match(
    before.arn,
    /^arn:aws:sts::\d+:assumed-role\/shop-dev-MyApi\/shop-dev-MyApi$/,
    "not the developer's",
  );
  await rotate(rig, "MyApi", `{ "item": "pen" }`);
  t.equal(await psql.say("select count(*) from items;"), "3");
  const after = await who();
  t.equal(after.arn, before.arn);
  t.not(after.key, before.key, "the same psql, with other credentials");
  t.equal(await psql.end(), 0);
  t.match((await rig.livedev("env", "--as", "MyApi")).stdout, /^PGPASSWORD='«sealed»'$/m);
});
