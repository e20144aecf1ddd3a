import { fork } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";

import { loadStageKey } from "../../daemon/credentials/stage-key.ts";

function newDir(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), "livedev-key-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "stage");
}

void t.test("the key is drawn once, for its owner's eyes alone", async (t) => {
  const dir = newDir(t);
  const first = await loadStageKey(dir);
  t.equal(first.key.length, 32);
  t.match(first.keyId, /^[0-9a-f]{16}$/);
  t.notOk(Buffer.from(first.key).toString("hex").includes(first.keyId), "its name gives nothing of it away");
  t.equal(statSync(join(dir, "stage.key")).mode & 0o777, 0o600);
  t.equal(statSync(dir).mode & 0o777, 0o700);
  t.same(readdirSync(dir), ["stage.key"], "no draft is left");
  t.same(await loadStageKey(dir), first);
  t.not((await loadStageKey(newDir(t))).keyId, first.keyId, "another stage has another");
});

void t.test("twenty who ask at once in one process get the same one", async (t) => {
  const dir = newDir(t);
  const keys = await Promise.all(Array.from({ length: 20 }, () => loadStageKey(dir)));
  t.equal(new Set(keys.map(({ keyId }) => keyId)).size, 1);
  t.same(readdirSync(dir), ["stage.key"]);
});

void t.test("processes that ask at the same instant get the same one", async (t) => {
  const dir = newDir(t);
  const children = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const child = fork(join(import.meta.dirname, "child.ts"), [dir], { execArgv: ["--import=tsx"] });
      await once(child, "message");
      return child;
    }),
  );
  const answers = children.map(async (child) => {
    const answer = once(child, "message");
    const gone = once(child, "exit");
    child.send("go");
    const [key] = await answer;
    await gone;
    return key as { keyId: string; key: string };
  });
  const keys = await Promise.all(answers);
  t.equal(new Set(keys.map(({ key }) => key)).size, 1);
  t.equal(keys[0]?.key, readFileSync(join(dir, "stage.key"), "utf8").trim());
  t.same(readdirSync(dir), ["stage.key"]);
});

void t.test("a file that is no key is named, kept as it is, and not replaced", async (t) => {
  for (const text of ["", "abc", "g".repeat(64), `${"a".repeat(64)}\n\n`, "a".repeat(65)]) {
    const dir = newDir(t);
    mkdirSync(dir);
    const file = join(dir, "stage.key");
    writeFileSync(file, text);
    await t.rejects(loadStageKey(dir), {
      code: "stage.keyBroken",
      message: new RegExp(file),
      hint: /Delete it/,
    });
    t.equal(readFileSync(file, "utf8"), text);
  }
});

void t.test("a key that others may read is for its owner alone again", async (t) => {
  const dir = newDir(t);
  const { keyId } = await loadStageKey(dir);
  chmodSync(join(dir, "stage.key"), 0o644);
  t.equal((await loadStageKey(dir)).keyId, keyId);
  t.equal(statSync(join(dir, "stage.key")).mode & 0o777, 0o600);
});

void t.test("a draft that a kill left behind harms nothing", async (t) => {
  const dir = newDir(t);
  mkdirSync(dir);
  writeFileSync(join(dir, "stage.key.123.abcd"), "ab");
  t.equal((await loadStageKey(dir)).key.length, 32);
});
