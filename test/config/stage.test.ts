import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { join } from "node:path";

import t, { type Test } from "tap";

import { locate } from "../../client/discovery.ts";
import { resolveStage } from "../../daemon/config/stage.ts";
import { personalStage } from "../../proto/discovery.ts";

function emptyProject(t: Test): { project: string; kept: string } {
  const project = mkdtempSync(join(os.tmpdir(), "livedev-stage-"));
  t.teardown(() => rmSync(project, { recursive: true }));
  writeFileSync(join(project, "livedev.config.ts"), "");
  return { project, kept: join(project, ".livedev/stage") };
}

const { userInfo } = os;
function userIs(username: string): void {
  os.userInfo = (() => ({ ...userInfo(), username })) as typeof userInfo;
  syncBuiltinESMExports();
}
t.teardown(() => {
  os.userInfo = userInfo;
  syncBuiltinESMExports();
});

/** Both ends that look for the stage. */
const daemon = (project: string) => resolveStage({ project, env: {} });
const client = (project: string) => locate({ project, env: {} });

t.test("the personal stage is the user's name the first time, and is then kept", async (t) => {
  const { project, kept } = emptyProject(t);
  userIs("Ada");
  t.match(client(project), { stage: "ada", stageKnown: false }, "a client foresees it, and keeps nothing");
  t.throws(() => readFileSync(kept), { code: "ENOENT" });
  t.equal(await daemon(project), "ada");
  t.equal(readFileSync(kept, "utf8"), "ada\n");

  userIs("grace");
  t.equal(await daemon(project), "ada", "also under another user's name");
  t.match(client(project), { stage: "ada", stageKnown: true });
  t.equal(readFileSync(kept, "utf8"), "ada\n");
  t.equal(await daemon(emptyProject(t).project), "grace");
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
