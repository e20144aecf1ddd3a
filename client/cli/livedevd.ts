/** `livedevd start | stop | restart | status | run`. They are clients too: the daemon itself is dist/daemon.js. */
import { Cli } from "./cli.ts";
import { restartCommand } from "./restart.ts";
import { runCommand } from "./run.ts";
import { startCommand } from "./start.ts";
import { statusCommand } from "./status.ts";
import { stopCommand } from "./stop.ts";

await new Cli("livedevd").main(
  "livedev's daemon: one per project and stage. It runs your functions' code for the stubs that stand in AWS.",
  [
    ["livedevd start", "go live"],
    ["livedevd stop", "and home"],
  ],
  [startCommand, stopCommand, restartCommand, statusCommand, runCommand],
);
