import t from "tap";
import { openFunction, shown } from "./rig.ts";
import { readFileSync } from "node:fs";
await t.test("x", async (t) => {
  const rig = await openFunction(t, {
    "index.mjs": `let beats = 0; setInterval(() => { beats += 1; console.log("beat"); }, 5); export const handler = async () => beats;`,
  });
  await rig.invoke();
  if (process.argv[2]) { rig.environment.freeze(); await new Promise(r => setTimeout(r, 20));  }
  await rig.invoke();
  rig.environment.freeze();
  const from = performance.now();
  const iv = setInterval(() => { try { console.log((performance.now()-from)|0, readFileSync(`/proc/${rig.environment.pid}/status`,"utf8").match(/State.*|ShdPnd.*|SigBlk.*|SigIgn.*/g)) } catch { console.log("gone"); } }, 60);
  await rig.environment[Symbol.asyncDispose]();
  clearInterval(iv);
  console.log(performance.now() - from, await rig.environment.exited, process.getActiveResourcesInfo());
});
