import { spawnSync } from "node:child_process";
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  realpath,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import t from "tap";

import { silentLog } from "../../daemon/lib/log.ts";
import { Rpc } from "../../daemon/rpc/rpc.ts";
import { prepareSocket } from "../../daemon/rpc/socket.ts";

import { followOf, MemoryHistory, methodTable, Rig, Wire } from "./rig.ts";

async function folder(t: { teardown(f: () => unknown): unknown }): Promise<string> {
  const made = await realpath(await mkdtemp(join(tmpdir(), "livedev-socket-")));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

void t.test(
  "the socket is 0600 in a directory of 0700, whatever the umask, which stays as it was",
  async (t) => {
    const before = process.umask(0o000);
    t.teardown(() => process.umask(before));
    await using rig = await Rig.open();
    t.equal((await stat(join(rig.socketPath, ".."))).mode & 0o777, 0o700);
    t.equal((await stat(rig.socketPath)).mode & 0o777, 0o600);
    t.equal(process.umask(), 0o000);
  },
);

void t.test(
  "a directory that is a link, a file, open to others or another's is refused with path and reason",
  async (t) => {
    const root = await folder(t);
    const real = join(root, "real");
    await mkdir(real, { mode: 0o700 });
    await symlink(real, join(root, "link"));
    await t.rejects(prepareSocket(join(root, "link", "a.sock")), {
      code: "rpc.socketDirectoryUnsafe",
      message: new RegExp(`${join(root, "link")}.*symbolic link`),
    });

    await writeFile(join(root, "file"), "");
    await t.rejects(prepareSocket(join(root, "file", "a.sock")), { message: /not a directory/ });

    const open = join(root, "open");
    await mkdir(open);
    await chmod(open, 0o750);
    await t.rejects(prepareSocket(join(open, "a.sock")), {
      message: /others may enter it \(its mode is 750\)/,
    });

    await t.rejects(prepareSocket(join(root, "absent", "deep", "a.sock")), {
      code: "rpc.socketDirectoryMissing",
    });

    if (process.geteuid?.() === 0) {
      const theirs = join(root, "theirs");
      await mkdir(theirs, { mode: 0o700 });
      await chown(theirs, 65_534, 65_534);
      await t.rejects(prepareSocket(join(theirs, "a.sock")), { message: /belongs to user 65534/ });
    }
  },
);

void t.test("opening refuses an unsafe directory too, and leaves nothing behind", async (t) => {
  const root = await folder(t);
  const open = join(root, "open");
  await mkdir(open);
  await chmod(open, 0o777);
  const history = new MemoryHistory();
  const socketPath = join(open, "a.sock");
  const options = {
    socketPath,
    methods: methodTable(history),
    follow: followOf(history),
    version: "0",
    log: silentLog,
  };
  await t.rejects(Rpc.open(options), { code: "rpc.socketDirectoryUnsafe" });
  await t.rejects(stat(socketPath), { code: "ENOENT" });
});

void t.test("a path that the system would cut is refused before listening", async (t) => {
  const root = await folder(t);
  const path = join(root, `${"x".repeat(120)}.sock`);
  await t.rejects(prepareSocket(path), { code: "rpc.socketPathTooLong", message: new RegExp(path) });
});

void t.test("what lies at the path is removed only where it is a stale socket of ours", async (t) => {
  const root = await folder(t);
  const at = (name: string) => join(root, name);

  await writeFile(at("file"), "precious");
  await t.rejects(prepareSocket(at("file")), { code: "rpc.socketPathOccupied", message: /something else/ });
  await symlink(at("file"), at("link"));
  await t.rejects(prepareSocket(at("link")), { message: /symbolic link/ });
  t.ok(await stat(at("file")));

  // A process that dies without closing leaves its socket, as kill -9 of a daemon does.
  const script = `require("net").createServer().listen(${JSON.stringify(at("stale"))}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", script]);
  t.ok((await lstat(at("stale"))).isSocket());
  await prepareSocket(at("stale"));
  await t.rejects(lstat(at("stale")), { code: "ENOENT" });

  const server = createServer();
  await new Promise<void>((resolve) => server.listen(at("alive"), resolve));
  t.teardown(() => server.close());
  await t.rejects(prepareSocket(at("alive")), { code: "rpc.socketAnswers" });
  t.ok((await lstat(at("alive"))).isSocket());
});

const asRoot = { skip: process.geteuid?.() === 0 ? false : "only root can try as another user" };

void t.test("another user cannot reach the socket", asRoot, async (t) => {
  await using rig = await Rig.open();
  // The folder above is open, so that the socket's own directory is what keeps the other user out.
  await chmod(rig.directory, 0o755);
  const script = `require("net").connect(${JSON.stringify(rig.socketPath)}).on("connect", () => process.exit(0)).on("error", (e) => { console.log(e.code); process.exit(9) })`;
  const asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, "-e", script];
  const { status, stdout } = spawnSync("setpriv", asNobody, { encoding: "utf8", cwd: "/" });
  t.equal(status, 9);
  t.match(stdout, /EACCES/);
});

void t.test("a socket file that was deleted is made again, and who is connected stays so", async (t) => {
  await using rig = await Rig.open({ keepMs: 5 });
  const wire = await rig.wire();
  await unlink(rig.socketPath);
  const again = await appears(() => Wire.open(rig.socketPath));
  t.same((await again.call("function.list")).result, []);
  t.same((await wire.call("function.list")).result, []);
  t.equal((await stat(rig.socketPath)).mode & 0o777, 0o600);
  again.socket.terminate();
});

/** Tries until it succeeds; the test's own timeout bounds it. */
async function appears<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}
