import { fork } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
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

import { loadStageKey, PREVIOUS_MS, StageKeys } from "../../daemon/credentials/stage-key.ts";

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

const openKeys = (dir: string, previousMs = PREVIOUS_MS) =>
  StageKeys.open({ dir, previousMs, onExpired: () => {} });

void t.test("another key is drawn: the one before counts on, after a restart too", async (t) => {
  const dir = newDir(t);
  const { key: first } = await loadStageKey(dir);
  {
    await using keys = await openKeys(dir);
    t.same(keys.accepted(), [keys.current]);
    await keys.rotate();
    t.notSame(keys.current.key, first);
    t.same(
      keys.accepted().map(({ key }) => Buffer.from(key)),
      [keys.current.key, first],
    );
  }
  t.same(readdirSync(dir).sort(), ["stage.key", "stage.key.previous"], "no draft is left");
  for (const name of readdirSync(dir)) t.equal(statSync(join(dir, name)).mode & 0o777, 0o600, name);
  const [{ until }] = JSON.parse(readFileSync(join(dir, "stage.key.previous"), "utf8")) as [
    { until: number },
  ];
  const leftMs = until - Date.now();
  t.ok(leftMs > 14 * 60_000 && leftMs <= 15 * 60_000, `${leftMs} ms`);

  await using again = await openKeys(dir);
  t.same(again.current, await loadStageKey(dir));
  t.same(Buffer.from(again.accepted()[1]?.key ?? []), first);
  await again.rotate();
  t.equal(again.accepted().length, 3, "drawn once more: what stubs have meanwhile all counts");
});

void t.test(
  "a key before the current one ends, in memory and on the disk, and is told of once",
  async (t) => {
    const dir = newDir(t);
    let told = 0;
    let tell = () => {};
    const expired = new Promise<void>((resolve) => (tell = resolve));
    {
      const onExpired = () => {
        told += 1;
        tell();
      };
      await using keys = await StageKeys.open({ dir, previousMs: 100, onExpired });
      await keys.rotate();
      t.ok(existsSync(join(dir, "stage.key.previous")));
      await expired;
      t.same(keys.accepted(), [keys.current]);
    }
    t.same(readdirSync(dir), ["stage.key"]);
    t.equal(told, 1);
  },
);

void t.test("what of the keys before is over, set too far ahead or no list at all", async (t) => {
  const dir = newDir(t);
  await using drawn = await openKeys(dir);
  await drawn.rotate();
  const file = join(dir, "stage.key.previous");
  const [kept] = JSON.parse(readFileSync(file, "utf8")) as [{ key: string }];
  const reads = async (text: string, previousMs?: number) => {
    writeFileSync(file, text);
    await using keys = await openKeys(dir, previousMs);
    return keys.accepted().length - 1;
  };
  t.equal(await reads(JSON.stringify([{ ...kept, until: Date.now() - 1 }])), 0);
  for (const text of ["", "{", "null", "[1]", `[{"until":${Date.now() + 60_000}}]`])
    t.equal(await reads(text), 0, text);
  // The clock was set back by a year: the key counts for its fifteen minutes (here: 30 ms) and no longer.
  writeFileSync(file, JSON.stringify([{ ...kept, until: Date.now() + 365 * 86_400_000 }]));
  const over = new Promise<void>((resolve) => {
    void StageKeys.open({ dir, previousMs: 30, onExpired: resolve }).then((keys) =>
      t.teardown(() => keys[Symbol.asyncDispose]()),
    );
  });
  await over;
  const { keyId } = drawn.current;
  writeFileSync(
    file,
    JSON.stringify([{ key: Buffer.from(drawn.current.key).toString("hex"), until: Date.now() + 60_000 }]),
  );
  await using keys = await openKeys(dir);
  t.same(
    keys.accepted().map((key) => key.keyId),
    [keyId],
    "killed between the two files: the current key is no earlier one",
  );
});
