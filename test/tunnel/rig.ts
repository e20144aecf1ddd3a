/** A project whose daemon runs on the laptop of a Net, and stubs that run inside it. */
import { execFile, spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { loadStageKey } from "../../daemon/credentials/stage-key.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import { Watched } from "../support/live-stub.ts";
import {
  INITDB,
  MARIADB_INSTALL,
  MARIADB_SERVER,
  POSTGRES_SERVER,
  PSQL,
  REDIS_SERVER,
} from "../support/parts.ts";
import { Rig } from "../support/rig.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { StubProcess } from "../support/stub.ts";
import { BASTION, BASTION_INSIDE, INSIDE, Net, RANGE } from "./net.ts";

export type BastionConfig = Record<string, unknown>;

/** Nobody answers at the endpoint, and nobody is asked: the stubs are put in place by the test. */
const NOWHERE = { home: "aws", endpoint: "http://127.0.0.1:9" };

/** `more` is code that stands in run(). */
const config = (bastion: BastionConfig, more = "", home: object = NOWHERE) => `
import { $config, aws, DevCommand, Linkable } from "livedev";
export default $config({
  app: () => (${JSON.stringify({ name: "far", region: "us-east-1", ...home, bastion })}),
  async run() {
    ${more}
  },
});
`;

export class Laptop implements AsyncDisposable {
  readonly net: Net;
  readonly rig: Rig;
  readonly bastion: BastionConfig;

  private constructor(net: Net, rig: Rig, bastion: BastionConfig) {
    this.net = net;
    this.rig = rig;
    this.bastion = bastion;
  }

  /** Whose home knows the bastion, and has the key of `who`. */
  static open(
    net: Net,
    options: {
      who?: string;
      bastion?: BastionConfig;
      run?: string;
      files?: Record<string, string>;
      local?: boolean;
    } = {},
  ): Laptop {
    const { who = "ann", run = "", local = false } = options;
    const rig = Rig.open({ files: options.files ?? {} });
    rig.within = net.inside("laptop");
    const bastion = {
      host: BASTION,
      user: "root",
      key: net.file(who),
      ranges: [RANGE],
      listen: { address: BASTION_INSIDE },
      ...options.bastion,
    };
    const laptop = new Laptop(net, rig, bastion);
    mkdirSync(join(rig.root, "home", ".ssh"), { mode: 0o700 });
    laptop.knows(net.knownHost());
    rig.save("livedev.config.ts", config(bastion, run, local ? { home: "local" } : NOWHERE));
    return laptop;
  }

  /** The config with this in its run(). */
  configure(run: string): void {
    this.rig.save("livedev.config.ts", config(this.bastion, run));
  }

  /** In ~/.ssh/known_hosts, beside what stands there. */
  knows(line: string): void {
    appendFileSync(this.file("known_hosts"), line);
  }

  file(name: string): string {
    return join(this.rig.root, "home", ".ssh", name);
  }

  /** Opens the daemon, on the laptop, and follows it. */
  async watch(): Promise<Watched> {
    // By a program in the laptop's own network: what connects from here would open the daemon here.
    const { code, stderr } = await this.rig.livedev("run", "--", "true");
    if (code !== 0) throw new Error(`${stderr}\n${this.rig.daemonLog()}`);
    return Watched.open(this.rig);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.rig[Symbol.asyncDispose]();
  }
}

/** A real stub inside, to which the test plays Lambda. */
export class FarStub implements AsyncDisposable {
  readonly runtime: TestRuntimeApi;
  readonly process: StubProcess;

  private constructor(runtime: TestRuntimeApi, stub: StubProcess) {
    this.runtime = runtime;
    this.process = stub;
  }

  /** It is told what a deployment would tell it: where the daemon says that stubs reach it. */
  static async open(
    { net, rig }: Laptop,
    functionName: string,
    {
      place = "inside",
    }: { /** On the laptop it goes to the bridge itself. */ place?: "inside" | "laptop" } = {},
  ): Promise<FarStub> {
    await using client = await rig.connect();
    const { bridge, app, stage } = await client.call("daemon.status", {});
    const { key, keyId } = await loadStageKey(join(rig.project, ".livedev", stage));
    const runtime = await TestRuntimeApi.open(await net.listen(place));
    const stub = new StubProcess({
      runtimeApi: runtime.address,
      port: 0,
      within: net.inside(place),
      settings: {
        app,
        stage,
        functionName,
        key: Buffer.from(key).toString("hex"),
        keyId,
        addresses: [{ address: place === "inside" ? bridge.address : bridgeOf(rig), match: "*" }],
      },
    });
    await runtime.polled();
    return new FarStub(runtime, stub);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    await this.runtime[Symbol.asyncDispose]();
  }
}

/** The bridge's own port, which `state.json` keeps. */
function bridgeOf(rig: Rig): string {
  const { bridgePort } = JSON.parse(rig.read(`.livedev/${rig.stage}/state.json`)) as { bridgePort: number };
  return `tls://127.0.0.1:${bridgePort}`;
}

/** The next of this type; those that were there when asked do not count. */
export function following<T extends LivedevEvent["type"]>(watched: Watched, type: T) {
  const seen = watched.events.length;
  return watched.next(type, (event) => watched.events.indexOf(event) >= seen);
}

/** Not while it holds up what else is being started. */
async function finished([file = "", ...args]: readonly string[]): Promise<void> {
  await promisify(execFile)(file, args, { cwd: "/" });
}

const unprivileged = (name: string) => [
  "setpriv",
  `--reuid=${name}`,
  `--regid=${name}`,
  "--clear-groups",
  "--",
];

/** Inside, with user ada, password "planted" and database shop; by TLS, under the name db.corp.internal, too. */
export async function startPostgres(net: Net): Promise<void> {
  const folder = net.scratch("postgres");
  const id = Number(spawnSync("id", ["-u", "postgres"], { encoding: "utf8" }).stdout);
  chownSync(folder, id, id);
  const data = join(folder, "data");
  writeFileSync(join(net.folder, "password"), "planted\n");
  chmodSync(join(net.folder, "password"), 0o644);
  const initdb = [
    INITDB,
    "-D",
    data,
    "-U",
    "ada",
    "-A",
    "scram-sha-256",
    "--pwfile",
    join(net.folder, "password"),
    "--no-sync",
  ];
  await finished([...unprivileged("postgres"), ...initdb]);
  for (const name of ["server.key", "server.crt"]) {
    spawnSync("cp", [net.file(name === "server.key" ? "tls.key" : "tls.crt"), join(folder, name)]);
    chownSync(join(folder, name), id, id);
    chmodSync(join(folder, name), 0o600);
  }
  appendFileSync(join(data, "pg_hba.conf"), `host all all ${RANGE} scram-sha-256\n`);
  const settings = {
    listen_addresses: INSIDE,
    unix_socket_directories: folder,
    ssl: "on",
    ssl_key_file: join(folder, "server.key"),
    ssl_cert_file: join(folder, "server.crt"),
    fsync: "off",
    dynamic_shared_memory_type: "mmap",
  };
  const words = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  await net.started(
    "inside",
    [...unprivileged("postgres"), POSTGRES_SERVER, "-D", data, ...words],
    /ready to accept/,
  );
  net.run("inside", [PSQL, "-XAtc", "create database shop", "postgres"], {
    env: { ...process.env, PGHOST: INSIDE, PGUSER: "ada", PGPASSWORD: "planted" },
  });
}

/** Inside, with user ada, password "planted" and database shop. */
export async function startMariaDb(net: Net): Promise<void> {
  const folder = net.scratch("mariadb");
  const id = Number(spawnSync("id", ["-u", "mysql"], { encoding: "utf8" }).stdout);
  chownSync(folder, id, id);
  const data = join(folder, "data");
  await finished([
    MARIADB_INSTALL,
    ...["--no-defaults", `--datadir=${data}`, "--user=mysql", "--skip-test-db", "--innodb-log-file-size=4M"],
    "--auth-root-authentication-method=normal",
  ]);
  writeFileSync(
    join(folder, "init.sql"),
    "create database shop;\ncreate user ada@'%' identified by 'planted';\ngrant all on shop.* to ada@'%';\n",
  );
  await net.started(
    "inside",
    [
      MARIADB_SERVER,
      "--no-defaults",
      `--datadir=${data}`,
      "--user=mysql",
      `--bind-address=${INSIDE}`,
      `--socket=${join(folder, "socket")}`,
      "--innodb-log-file-size=4M",
      `--init-file=${join(folder, "init.sql")}`,
      "--innodb-flush-log-at-trx-commit=0",
      "--skip-name-resolve",
    ],
    /ready for connections/,
  );
}

/** Inside, with password "planted"; by TLS at 6380. */
export async function startRedis(net: Net): Promise<void> {
  const tls = [
    "--tls-port",
    "6380",
    "--tls-cert-file",
    net.file("tls.crt"),
    "--tls-key-file",
    net.file("tls.key"),
  ];
  await net.started(
    "inside",
    [
      ...[REDIS_SERVER, "--bind", INSIDE, "--requirepass", "planted", "--save", "", "--dir", net.folder],
      ...[...tls, "--tls-ca-cert-file", net.file("tls.crt"), "--tls-auth-clients", "no"],
    ],
    /Ready to accept connections/i,
  );
}

/** Of a server inside; tls.crt is what its clients trust. */
export function certificate(net: Net, name: string): void {
  const made = spawnSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name},DNS:*.corp.internal`],
      ...["-keyout", net.file("tls.key"), "-out", net.file("tls.crt")],
    ],
    { encoding: "utf8" },
  );
  if (made.status !== 0) throw new Error(made.stderr);
}
