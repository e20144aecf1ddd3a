/**
 * Loaded into a daemon: at SIGUSR2 its clocks jump as LIVEDEV_TEST_JUMP (a file: `{ "wallMs", "sinceBootMs" }`) says.
 * A machine that slept: both jump, and the monotonic clock does not. Somebody set the clock: only the wall's does.
 */
import { readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";

const [now, uptime] = [Date.now, os.uptime];
let jump = { wallMs: 0, sinceBootMs: 0 };
Date.now = () => now() + jump.wallMs;
os.uptime = () => uptime() + jump.sinceBootMs / 1_000;
syncBuiltinESMExports();
process.on("SIGUSR2", () => {
  jump = JSON.parse(readFileSync(process.env.LIVEDEV_TEST_JUMP, "utf8"));
});
