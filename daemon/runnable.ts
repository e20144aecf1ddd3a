/** The app's frontends, services and commands as they run in dev, as far as the stage stands. Pure. */
import { references, resolveOutputs, type WantedApp } from "../proto/app.ts";

import type { Lookup } from "./links.ts";
import type { RunnableProcess } from "./processes/processes.ts";
import { asProcess, type RunPlace } from "./run-environment.ts";

/** One whose command is not known yet is not among them. */
export function runnable(
  app: WantedApp,
  lookup: Lookup,
  place: RunPlace,
  /** The tunnel's hook, behind what the machine or the process itself has. */
  { nodeOptions, machine }: { nodeOptions?: string; machine?: string | undefined } = {},
): RunnableProcess[] {
  const names = new Set(app.processes.map(({ name }) => name));
  return app.processes.flatMap((process) => {
    const { name, kind, dev, link, environment } = process;
    const command = resolveOutputs(dev?.command, lookup);
    if (dev === undefined || typeof command !== "string") return [];
    const url = resolveOutputs(dev.url, lookup);
    const named = references({ link, environment, dev }).map(({ component }) => component);
    const after = new Set([...link.map((one) => one.name), ...named]);
    const { variables, unset } = asProcess(app, process, lookup, place);
    return [
      {
        name,
        kind,
        command,
        unset,
        title: dev.title,
        directory: dev.directory,
        autostart: dev.autostart,
        environment:
          nodeOptions === undefined
            ? variables
            : {
                ...variables,
                NODE_OPTIONS: [variables["NODE_OPTIONS"] ?? machine, nodeOptions].filter(Boolean).join(" "),
              },
        after: [...after].filter((other) => other !== name && names.has(other)),
        ...(typeof url === "string" && { url }),
        ...(dev.ready !== undefined && { ready: dev.ready }),
      },
    ];
  });
}
