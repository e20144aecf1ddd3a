import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";

import { StateFile } from "../../daemon/cloud/state-file.ts";
import type { CloudState } from "../../daemon/cloud/state.ts";
import { newStateDir } from "./rig.ts";

const open = (stateDir: string) =>
  StateFile.open({ stateDir, region: "us-east-1", onBroken: () => undefined });

async function opened(t: Test) {
  const stateDir = newStateDir(t);
  const states = await open(stateDir);
  const kept = () => JSON.parse(readFileSync(join(stateDir, "cloud.json"), "utf8")) as CloudState;
  return { stateDir, states, kept };
}

void t.test("what was answered is on disk, in the order in which it was asked for", async (t) => {
  const { states, kept, stateDir } = await opened(t);
  const seen: number[] = [];
  const updates = Array.from({ length: 50 }, (_, index) =>
    states
      .update((draft) => {
        draft.port += 1;
        return draft.port;
      })
      .then((port) => {
        seen.push(port);
        t.ok(kept().port >= port, `${index} is on disk when it is answered`);
      }),
  );
  await Promise.all(updates);
  t.same(
    seen,
    Array.from({ length: 50 }, (_, index) => index + 1),
  );
  t.same((await open(stateDir)).state, states.state);
});

void t.test("a change that throws changes nothing, and those beside it are made", async (t) => {
  const { states, kept } = await opened(t);
  const [before, failed, after] = await Promise.allSettled([
    states.update((draft) => void (draft.port = 1)),
    states.update((draft) => {
      draft.port = 99;
      throw new Error("half way");
    }),
    states.update((draft) => (draft.port += 1)),
  ]);
  t.match([before?.status, failed?.status, after?.status], ["fulfilled", "rejected", "fulfilled"]);
  t.equal(states.state.port, 2);
  t.equal(kept().port, 2);
});

void t.test("a state that was given out is never changed", async (t) => {
  const { states } = await opened(t);
  const { state } = states;
  await states.update((draft) => void (draft.port = 7));
  t.equal(state.port, 0);
});

void t.test(
  "where the disk refuses, the caller is told, the state stays, and writing goes on when it can",
  async (t) => {
    const { states, stateDir, kept } = await opened(t);
    // Also for root: a directory stands where the new file is to be written.
    const obstacle = join(stateDir, "cloud.json.new");
    mkdirSync(obstacle);
    await t.rejects(
      states.update((draft) => void (draft.port = 5)),
      { code: "EISDIR" },
    );
    t.equal(states.state.port, 0);
    rmSync(obstacle, { recursive: true });
    await states.update((draft) => void (draft.port += 1));
    t.equal(kept().port, 1);
  },
);
