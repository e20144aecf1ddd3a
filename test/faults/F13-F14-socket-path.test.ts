/** F13, F14, F38: where the control socket lies, and who may come near it. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { dirname, join } from "node:path";

import t, { type Test } from "tap";

import { locate } from "../../client/discovery.ts";
import { some } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";
import { FILES, gone, open, slowness } from "./support.ts";

/** Any unprivileged user will do; none is needed in the user database. */
const OTHER_UID = 65_534;

const rig = Rig.open({
  files: {
    ...FILES,
    "src/echo.ts": "export const handler = async () => process.env.AWS_LAMBDA_RUNTIME_API;",
  },
});
t.teardown(() => rig[Symbol.asyncDispose]());
// As on a machine whose runtime folder is /tmp.
chmodSync(rig.root, 0o755);
chmodSync(join(rig.root, "run"), 0o755);

/** Where the daemon will listen, in the directory that another one of its user's made before. */
const { socket } = locate({ cwd: rig.project, env: rig.env });
const directory = dirname(socket);
mkdirSync(directory, { mode: 0o700 });

/** A daemon runs, and listens there. */
async function listens(t: Test): Promise<void> {
  const { pid } = await open(rig);
  t.match(JSON.parse(rig.read(`.livedev/${rig.stage}/daemon.json`)), { pid, socket });
}

/** Refused, with the path and the reason, by client or daemon; nothing is started, nothing there is changed. */
async function refused(t: Test, path: string, reason: RegExp): Promise<void> {
  const { code, stderr } = await rig.livedevd("start");
  t.equal(code, 1);
  t.match(stderr, path);
  t.match(stderr, reason);
  await nothingRuns();
}

/** The daemon that refused is on its way out when its client says so. */
async function nothingRuns(): Promise<void> {
  await gone(
    (await rig.processes()).map(({ pid }) => pid),
    2_000 * (await slowness()),
  );
}

t.test("F14: a socket path that the system would cut is refused before anything listens", async (t) => {
  // `/livedev-<uid>/<16 digits>.sock` is 32 bytes or more.
  for (const bytes of some([76, 200])) {
    const runtime = join(rig.root, "r".repeat(bytes - rig.root.length - 1));
    mkdirSync(runtime, { mode: 0o700 });
    rig.env["XDG_RUNTIME_DIR"] = runtime;
    const { code, stderr } = await rig.livedevd("start");
    t.equal(code, 1);
    t.match(stderr, /takes at most 107/);
    t.match(stderr, /XDG_RUNTIME_DIR/, "and what to do");
    await nothingRuns();
  }
  rig.env["XDG_RUNTIME_DIR"] = join(rig.root, "run");
});

t.test("F13: a socket path that is a link, a folder, a file is refused and left as it is", async (t) => {
  const elsewhere = join(rig.root, "elsewhere");
  writeFileSync(elsewhere, "precious");
  symlinkSync(elsewhere, socket);
  await refused(t, socket, /symbolic link/);
  t.equal(readFileSync(elsewhere, "utf8"), "precious");
  rmSync(socket);

  mkdirSync(socket);
  await refused(t, socket, /something else lies there/);
  t.ok(statSync(socket).isDirectory());
  rmSync(socket, { recursive: true });

  writeFileSync(socket, "precious");
  await refused(t, socket, /something else lies there/);
  t.equal(readFileSync(socket, "utf8"), "precious");
  rmSync(socket);
  await listens(t);
});

/** Runs this program as another user of the machine; gives what it printed. */
function asOther(program: string, ...args: string[]): string {
  const drop = [
    "--reuid",
    String(OTHER_UID),
    "--regid",
    String(OTHER_UID),
    "--clear-groups",
    "--no-new-privs",
  ];
  return execFileSync("setpriv", [...drop, process.execPath, "--input-type=module", "-e", program, ...args], {
    encoding: "utf8",
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "" },
  }).trim();
}

const CONNECT = `
import { connect } from "node:net";
const socket = connect(process.argv[1]);
socket.on("connect", () => console.log("connected") ?? process.exit());
socket.on("error", (error) => console.log(error.code));
`;

const FETCH = `
import { request } from "node:http";
const [, port, path] = process.argv;
const asked = request({ host: "127.0.0.1", port, path }, (response) => {
  let text = "";
  response.on("data", (chunk) => (text += chunk));
  response.on("end", () => console.log(response.statusCode, text));
});
asked.on("error", (error) => console.log(error.code));
asked.end();
`;

t.test(
  "F38: another user of the machine cannot reach the control socket, whatever modes have become",
  async (t) => {
    t.equal(statSync(directory).mode & 0o777, 0o700);
    t.equal(statSync(socket).mode & 0o777, 0o600);
    t.equal(asOther(CONNECT, socket), "EACCES", "the directory is closed");
    chmodSync(directory, 0o755);
    t.equal(asOther(CONNECT, socket), "EACCES", "and the socket itself as well");
    chmodSync(directory, 0o700);
  },
);

t.test(
  "F38, F37: a worker's Runtime API answers neither another user, nor a web page, nor another name",
  async (t) => {
    await using client = await rig.connect();
    const { payload } = await client.call("function.invokeLocal", { functionName: "Echo", event: "{}" });
    const address = JSON.parse(payload) as string;
    const [, port = ""] = address.split(":");
    const next = "/2018-06-01/runtime/invocation/next";
    t.match(asOther(FETCH, port, next), /^403 .*another user/);

    const attacks: Record<string, Record<string, string>> = {
      "a foreign Origin": { origin: "http://evil.example" },
      "Origin: null": { origin: "null" },
      "our own address as Origin": { origin: `http://${address}` },
      "a rebound name": { host: `evil.example:${port}` },
      localhost: { host: `localhost:${port}` },
      "127.1": { host: `127.1:${port}` },
      "no port": { host: "127.0.0.1" },
    };
    for (const [name, headers] of Object.entries(attacks)) {
      t.equal(await status(Number(port), next, headers), 403, name);
    }
    const again = await client.call("function.invokeLocal", { functionName: "Echo", event: "{}" });
    t.equal(again.status, "ok", "and the worker goes on");
    t.equal(again.payload, payload, "the same one");
  },
);

function status(port: number, path: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on("error", reject);
    asked.end();
  });
}

t.test("F13: a socket directory that is a link, another's or open to others is refused", async (t) => {
  t.equal((await rig.livedevd("stop")).code, 0);
  rmSync(directory, { recursive: true });
  const elsewhere = join(rig.root, "others");
  mkdirSync(elsewhere, { mode: 0o700 });
  symlinkSync(elsewhere, directory);
  await refused(t, directory, /symbolic link/);
  rmSync(directory);

  mkdirSync(directory, { mode: 0o700 });
  for (const mode of some([0o755, 0o710, 0o701, 0o777])) {
    chmodSync(directory, mode);
    await refused(t, directory, /others may enter it/);
  }
  chmodSync(directory, 0o700);
  chownSync(directory, OTHER_UID, OTHER_UID);
  await refused(t, directory, /belongs to user 65534/);
  rmSync(directory, { recursive: true });
  await listens(t);
});
