/** Tells a watchdog of others' processes, says so, and stays until it is killed. */
import { text } from "node:stream/consumers";

import { Watchdog } from "../../daemon/runtime/watchdog.ts";

type Told = {
  readonly pid: number;
  readonly told: string;
  readonly expected: string;
  readonly forgotten: string;
};

const { pid, told, expected, forgotten } = JSON.parse(await text(process.stdin)) as Told;
const watchdog = new Watchdog();
watchdog.add(pid, told);
watchdog.expect(forgotten);
watchdog.expect(expected);
watchdog.forget([forgotten]);
console.log("told");
setInterval(() => {}, 1_000);
