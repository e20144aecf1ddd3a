import type { Command } from "commander";

import { locate, type Place } from "../discovery.ts";
import { notRunning } from "../errors.ts";
import { printEither, type Cli, type Common } from "./cli.ts";
import { note } from "./output.ts";
import { stopDaemon, type Stopped } from "./stop-daemon.ts";
import { duration } from "./time.ts";

export function stopCommand(cli: Cli): Command {
  return cli
    .command(
      "stop",
      "Stops the daemon and waits until it is gone. Running invocations may finish, for 10 s at most; the stubs stay, and answer that nobody is there.",
      [
        ["livedevd stop", "exit code 3 where none runs"],
        ["livedevd stop --json", "{ pid, tookMs, killed }"],
      ],
    )
    .action(
      cli.action<Common>(async ({ options }) => {
        const place = locate(options);
        const stopped = await stopAt(cli, place, {});
        if (stopped.state === "notRunning")
          throw notRunning(place.project, place.stageKnown ? place.stage : undefined);
        printStopped(stopped, options.json);
      }),
    );
}

export function printStopped(
  stopped: Extract<Stopped, { state: "stopped" }>,
  json: boolean | undefined,
): void {
  const { pid, tookMs, killed, cloud } = stopped;
  printEither(json, { pid, tookMs: Math.round(tookMs), killed }, () =>
    killed
      ? `livedevd (pid ${pid}) did not end by itself and was killed. The next start ends what it left.`
      : `livedevd (pid ${pid}) has stopped, in ${duration(tookMs)}.`,
  );
  if (cloud !== undefined && json !== true)
    note("The local cloud goes on, as AWS would; `livedev cloud stop` ends it.");
}

export function stopAt(cli: Cli, place: Place, options: { readonly restarting?: boolean }): Promise<Stopped> {
  return stopDaemon(place, {
    ...options,
    signal: cli.signal,
    onDraining: (running) => {
      const who = running === 1 ? "1 running invocation" : `${running} running invocations`;
      note(running === 0 ? "Stopping …" : `Waiting for ${who} to finish, 10 s at most …`);
    },
  });
}
