import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import t from "tap";

import { Child, childProgram, ORDINARY, run } from "./processes.ts";
import { folderOf, stateFile } from "./support.ts";

/** A disk of 4 MB that only this command sees, and that goes with it. */
const ON_A_SMALL_DISK = [
  "unshare",
  "--mount",
  ...(process.geteuid?.() === 0 ? [] : ["--map-root-user"]),
  "sh",
  "-c",
  'mount -t tmpfs -o size=4m,mode=700 tmpfs "$0" && exec "$@"',
] as const;
/** Where nobody may mount: files of at most 2 MB, which the system refuses in another word (EFBIG). */
const WITH_SMALL_FILES = ["sh", "-c", 'exec prlimit --fsize=2000000: "$@"'] as const;

function canMount(folder: string): boolean {
  const [command, ...args] = ON_A_SMALL_DISK;
  return spawnSync(command, [...args, folder, "true"]).status === 0;
}

void t.test("F7: a full disk is told, holds nobody up, and loses nothing once there is room", async (t) => {
  const program = await childProgram(t);
  const file = stateFile(t);
  const mounts = process.env["LIVEDEV_NO_MOUNT"] === undefined && canMount(dirname(file));
  const [command, ...args] = mounts ? ON_A_SMALL_DISK : WITH_SMALL_FILES;
  const lines = await run(t, command, [...args, dirname(file), process.execPath, program, file, "fill"]);
  const [full, resumed, after] = lines;
  const code = mounts ? "storage.full" : "storage.failed";
  t.match(full, {
    full: code,
    flushed: code,
    journal: mounts ? code : undefined, // a file of its own, which is small
    health: { state: "failing", code: mounts ? "SQLITE_FULL" : "SQLITE_IOERR_WRITE", dropped: 0 },
  });
  const acknowledged = full!["acknowledged"] as number;
  t.ok(acknowledged > 10, `${acknowledged} invocations found room`);
  t.ok((full!["readable"] as number) >= acknowledged, "what was written is still read");
  t.strictSame(
    full!["known"],
    { state: "delivered", answered: "buffered" },
    "a key that comes again is known, though it is not on the disk yet",
  );
  const recorded = full!["recorded"] as number;
  t.strictSame(resumed, {
    resumed: recorded,
    health: { state: "ok" },
    readable: recorded,
    known: "delivered",
  });
  // Of each invocation: its row, three payloads, five events.
  t.strictSame(after, { integrity: "ok", rows: [recorded, 3 * recorded, 5 * recorded] }, "no half row");
});

void t.test(
  "F8: a state directory that may not be written is named, and nothing is made elsewhere",
  async (t) => {
    const program = await childProgram(t);
    const [command = "", ...args] = ORDINARY;
    const open = (file: string) => run(t, command, [...args, process.execPath, program, file, "open"]);

    const file = stateFile(t);
    const folder = dirname(file);
    chmodSync(folder, 0o500);
    const refused = {
      error: {
        code: "state.notWritable",
        message: new RegExp(`^livedev cannot write to ${folder}: .*(permission denied|EACCES)`),
        hint: `Make it writable for your user: chmod -R u+rwX ${folder}`,
      },
    };
    t.match(await open(file), [refused], "a folder without files");
    t.strictSame(readdirSync(folder), []);

    chmodSync(folder, 0o700);
    t.match(await open(file), [{ lastSeq: 0 }]);
    const made = readdirSync(folder);
    for (const name of made) chmodSync(join(folder, name), 0o400);
    chmodSync(folder, 0o500);
    t.match(await open(file), [refused], "a folder with a history in it");
    t.strictSame(readdirSync(folder), made);

    chmodSync(folder, 0o700);
    rmSync(folder, { recursive: true });
    const parent = folderOf(t);
    chmodSync(parent, 0o500);
    t.match(await open(file), [{ error: { code: "state.notWritable" } }], "a folder that is gone");
    chmodSync(parent, 0o700);
    t.strictSame(readdirSync(parent), ["child.mjs"]);
  },
);

void t.test(
  "F8: what takes the right to write away while history is open does not lose what was acknowledged",
  async (t) => {
    const program = await childProgram(t);
    const file = stateFile(t);
    const [command = "", ...args] = ORDINARY;
    const child = new Child(t, command, [...args, process.execPath, program, file, "record"]);
    await child.said(5);
    chmodSync(dirname(file), 0o500);
    const then = child.lines.length;
    await child.said(then + 20);
    chmodSync(dirname(file), 0o700);
    child.process.kill("SIGKILL");
    await child.ended;
    const [opened] = await run(t, process.execPath, [program, file, "open"]);
    const ids = child.lines.map(({ id }) => (id as number | undefined) ?? 0);
    t.ok((opened!["lastSeq"] as number) > Math.max(...ids));
  },
);
