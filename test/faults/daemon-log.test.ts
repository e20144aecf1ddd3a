/** The log of a daemon in the background. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import t from "tap";

import { LogFile } from "../../daemon/lib/log-file.ts";
import { Rig } from "../support/rig.ts";
import { FILES, open } from "./support.ts";

t.test(
  "a log that reaches its bound goes on in a new file, the old one stays beside it, no line is lost",
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "livedev-log-"));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "daemon.log");
    const log = new LogFile(path, 1_000);
    const lines = Array.from({ length: 30 }, (_, n) => `${String(n).padStart(49, "é")}\n`);
    for (const line of lines.slice(0, 20)) log.write(line);
    const written = readFileSync(`${path}.1`, "utf8") + readFileSync(path, "utf8");
    t.same(
      written.split("\n").slice(0, -1),
      lines.slice(0, 20).map((line) => line.trim()),
    );
    for (const line of lines) log.write(line);
    t.ok(statSync(path).size <= 1_000);
    t.ok(statSync(`${path}.1`).size <= 1_000);
    t.equal(statSync(path).mode & 0o777, 0o600);
  },
);

t.test("a long-lived daemon rotates its log by itself, and all that it holds are JSON lines", async (t) => {
  await using rig = Rig.open({ files: FILES });
  await open(rig);
  const path = join(rig.project, ".livedev", rig.stage, "daemon.log");
  t.equal((await rig.livedevd("stop")).code, 0);
  // Just under the bound, so that it is the running daemon that comes to it.
  const old = `${"x".repeat(1_023)}\n`.repeat(10 * 1_024).slice(10);
  writeFileSync(path, old);
  await open(rig);
  t.equal((await rig.livedevd("stop")).code, 0);
  t.equal(statSync(`${path}.1`).size, old.length, "the old file");
  t.ok(statSync(path).size < 1024 * 1024);
  const lines = readFileSync(path, "utf8").trim().split("\n");
  for (const line of lines) t.type(JSON.parse(line).level, "number", line.slice(0, 100));
  t.equal((await rig.livedev("logs", "--daemon")).code, 0);
  t.comment(`${lines.length} lines over the bound`);
});
