/** Processes alone, without a daemon: their events, and who of their trees is alive. */
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import type { Test } from "tap";

import { silentLog } from "../../daemon/lib/log.ts";
import { Processes, type ProcessesOptions, type RunnableProcess } from "../../daemon/processes/processes.ts";
import type { ProcessEvent } from "../../daemon/processes/types.ts";

export type Rig = {
  readonly project: string;
  readonly processes: Processes;
  readonly events: readonly ProcessEvent[];
  readonly urls: Readonly<Record<string, string>>;
  /** The first that fits, past or to come. */
  event<T extends ProcessEvent["type"]>(
    type: T,
    fits?: (event: Extract<ProcessEvent, { type: T }>) => boolean,
  ): Promise<Extract<ProcessEvent, { type: T }>>;
  /** The first line of its output that holds the text. */
  line(name: string, text: string): Promise<string>;
};

export async function open(
  t: Test,
  options: Partial<ProcessesOptions> & { project?: string } = {},
): Promise<Rig> {
  const project = options.project ?? folder(t);
  const events: ProcessEvent[] = [];
  const waiting = new Set<() => void>();
  const rig = { urls: {} as Readonly<Record<string, string>> };
  const processes = await Processes.open({
    project,
    leftoversDir: join(project, ".livedev", "processes"),
    urls: {},
    onUrls: (urls) => (rig.urls = urls),
    machine: { PATH: process.env["PATH"], HOME: project },
    log: silentLog,
    ...options,
    limits: { askMs: 300, termMs: 300, backoff: { firstMs: 20, maxMs: 100 }, portMs: 20, ...options.limits },
    record: (event) => {
      events.push(event);
      options.record?.(event);
      for (const look of [...waiting]) look();
    },
  });
  t.teardown(() => processes[Symbol.asyncDispose]());
  const event: Rig["event"] = (type, fits = () => true) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const found = events.find((one) => one.type === type && fits(one as never));
        if (found === undefined) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(found as never);
      };
      const timer = setTimeout(() => {
        waiting.delete(look);
        reject(
          new Error(`no ${type} came; there were\n${events.map((one) => JSON.stringify(one)).join("\n")}`),
        );
      }, 20_000);
      waiting.add(look);
      look();
    });
  const line = async (name: string, text: string) => {
    const { lines } = await event(
      "process.logged",
      (one) => one.processName === name && one.lines.some((line) => line.includes(text)),
    );
    return lines.find((one) => one.includes(text)) ?? "";
  };
  return {
    project,
    processes,
    events,
    event,
    line,
    get urls() {
      return rig.urls;
    },
  };
}

export function folder(t: Test): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "ldp-")));
  t.teardown(() => rmSync(path, { recursive: true, force: true, maxRetries: 5 }));
  return path;
}

export function wanted(name: string, command: string, more: Partial<RunnableProcess> = {}): RunnableProcess {
  return {
    name,
    command,
    title: name,
    kind: "DevCommand",
    directory: ".",
    autostart: true,
    environment: {},
    unset: [],
    after: [],
    ...more,
  };
}

/** Everything on this machine that has the text in its environment, by number and command. */
export function alive(text: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, "latin1").includes(text)) return [];
        if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return [];
        return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ")}`];
      } catch {
        return [];
      }
    });
}

/** Asks again until it holds: for what the system does, of which nobody tells. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  everyMs = 20,
): Promise<void> {
  const end = Date.now() + 15_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await sleep(everyMs);
  }
}
