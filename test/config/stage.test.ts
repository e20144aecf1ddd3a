import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import { join } from "node:path";

import t, { type Test } from "tap";

import { resolveStage } from "../../daemon/config/stage.ts";
import { personalStage } from "../../proto/discovery.ts";

function emptyProject(t: Test): { project: string; kept: string } {
  const project = mkdtempSync(join(os.tmpdir(), "livedev-stage-"));
  t.teardown(() => rmSync(project, { recursive: true }));
  writeFileSync(join(project, "livedev.config.ts"), "");
  return { project, kept: join(project, ".livedev/stage") };
}

/** Both ends that look for the stage, on the machine of a user of this name. */
async function machineOf(t: Test, username: string) {
  const mocks = { "node:os": { ...os, userInfo: () => ({ ...os.userInfo(), username }) } };
  const daemon = await t.mockImport<typeof import("../../daemon/config/stage.ts")>(
    "../../daemon/config/stage.ts",
    mocks,
  );
  const client = await t.mockImport<typeof import("../../client/discovery.ts")>(
    "../../client/discovery.ts",
    mocks,
  );
  return {
    daemon: (project: string) => daemon.resolveStage({ project, env: {} }),
    client: (project: string) => client.locate({ project, env: {} }),
  };
}

t.test("the personal stage is the user's name the first time, and is then kept", async (t) => {
  const { project, kept } = emptyProject(t);
  const ada = await machineOf(t, "Ada");
  t.match(
    ada.client(project),
    { stage: "ada", stageKnown: false },
    "a client foresees it, and keeps nothing",
  );
  t.throws(() => readFileSync(kept), { code: "ENOENT" });
  t.equal(await ada.daemon(project), "ada");
  t.equal(readFileSync(kept, "utf8"), "ada\n");

  const grace = await machineOf(t, "grace");
  t.equal(await grace.daemon(project), "ada", "also under another user's name");
  t.match(grace.client(project), { stage: "ada", stageKnown: true });
  t.equal(readFileSync(kept, "utf8"), "ada\n");
  t.equal(await grace.daemon(emptyProject(t).project), "grace");
});

t.test(
  "a stage that is asked for, or that the environment names, is not kept as the personal one",
  async (t) => {
    const { project, kept } = emptyProject(t);
    const env = { LIVEDEV_STAGE: "team" };
    t.equal(await resolveStage({ project, explicit: "prod", env }), "prod");
    t.equal(await resolveStage({ project, env }), "team");
    t.throws(() => readFileSync(kept), { code: "ENOENT" });
    await t.rejects(resolveStage({ project, explicit: "../up", env: {} }), { code: "stage.invalid" });
  },
);

t.test("a user's name becomes a stage's", (t) => {
  for (const [user, stage] of [
    ["Ann O'Neil", "ann-o-neil"],
    ["EXAMPLE\\ann", "example-ann"],
    ["ann.from-the-longest-office", "ann-from-the-longest"],
    ["root", "dev"],
    ["", "dev"],
    ["名前", "dev"],
  ] as const) {
    t.equal(personalStage(user), stage, user);
  }
  t.end();
});
