/**
 * Everything that happens, as one stream of lines: who says it, in a colour of its own, and what. For pipes, for CI,
 * and for whoever likes to read along.
 */
import type { LivedevEvent } from "../../proto/events.ts";

import type { WentLive } from "./live.ts";
import { inert, paint, type Style } from "./output.ts";
import { buildErrorText } from "./status.ts";
import { tunnelLines } from "./tunnel-events.ts";
import { duration } from "./time.ts";

const COLOURS: readonly Style[] = ["cyan", "yellow", "green", "magenta", "blue"];
const OURS = "livedev";
const NARROWEST = OURS.length;
const WIDEST = 24;

export class Mono {
  readonly #processes: boolean;
  readonly #colours = new Map<string, Style>();
  #width = NARROWEST;

  constructor(options: { processes: boolean }) {
    this.#processes = options.processes;
  }

  /** Names that are known beforehand: the column need not grow while they speak. */
  know(names: readonly string[]): void {
    for (const name of names) this.#width = Math.min(WIDEST, Math.max(this.#width, name.length));
    for (const name of [...names].sort()) this.#colour(name);
  }

  lines(event: LivedevEvent): string[] {
    const [name, texts] = this.#said(event);
    return this.#prefixed(name, texts);
  }

  /** Once; its URLs where no deployment has told them just now. */
  live({ app, urls, steps }: WentLive, { stage, pid }: { stage: string; pid: number }): string[] {
    const facts = paint("dim", `(stage ${stage}, pid ${pid})`);
    const told = steps === 0 ? urlLines(urls) : [];
    return this.#prefixed(OURS, [`${app} is ${paint("green", "live")} ${facts}`, ...told]);
  }

  #prefixed(name: string, texts: readonly string[]): string[] {
    return texts
      .flatMap((text) => text.split("\n"))
      .map((text) => `${this.#prefix(name)} ${paint("dim", "│")} ${text}`.trimEnd());
  }

  #prefix(name: string): string {
    const shown = name.length > WIDEST ? `${name.slice(0, WIDEST - 1)}…` : name;
    this.#width = Math.max(this.#width, shown.length);
    const padded = shown.padEnd(this.#width);
    return name === OURS ? paint("dim", padded) : paint(this.#colour(name), padded);
  }

  #colour(name: string): Style {
    const known = this.#colours.get(name);
    const colour = known ?? COLOURS[this.#colours.size % COLOURS.length] ?? "cyan";
    if (known === undefined) this.#colours.set(name, colour);
    return colour;
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #said(event: LivedevEvent): readonly [name: string, texts: readonly string[]] {
    switch (event.type) {
      case "config.loaded":
        return [OURS, [`config loaded in ${duration(event.tookMs)}`]];
      case "config.failed": {
        const { file, line, message } = event;
        const at = file === undefined ? "" : `${file}${line === undefined ? "" : `:${line}`}: `;
        return [OURS, [paint("red", inert(message.startsWith(at) ? message : at + message))]];
      }
      case "deploy.started":
        return [OURS, [event.steps === 1 ? "deploying, 1 step" : `deploying, ${event.steps} steps`]];
      case "deploy.stepped":
        return [OURS, [`${paint("green", "✓")} ${event.step} ${event.resource}`]];
      case "deploy.finished":
        return [
          OURS,
          [`${paint("green", "deployed")} in ${duration(event.tookMs)}`, ...urlLines(event.urls)],
        ];
      case "deploy.failed":
      case "stage.lost":
        return [OURS, [paint("red", inert(event.message))]];
      case "tunnel.connected":
      case "tunnel.lost":
      case "tunnel.failed":
      case "tunnel.portTaken":
        return [OURS, tunnelLines(event)];
      case "daemon.started":
        return [OURS, [`livedevd ${event.version} runs, pid ${event.pid}`]];
      case "daemon.stopped":
        return [OURS, [`livedevd has stopped: ${event.reason}`]];
      case "secret.changed":
        return [OURS, [`${event.names.join(", ")} ${event.how}`]];
      case "build.finished":
        return [event.functionName, [`built in ${duration(event.tookMs)}`]];
      case "build.failed":
        return [event.functionName, event.errors.map((error) => buildErrorText("does not build", error))];
      case "function.logged":
      case "invocation.logged": {
        const text = inert(event.text);
        return [event.functionName, [event.stream === "stderr" ? paint("yellow", text) : text]];
      }
      case "invocation.begun":
        return [
          event.functionName,
          [paint("dim", `→ ${event.requestId}${event.coldStart ? ", cold start" : ""}`)],
        ];
      case "invocation.answered": {
        const took = paint("dim", `in ${duration(event.durationMs)}`);
        if (event.status === "ok") return [event.functionName, [`${paint("green", "← ok")} ${took}`]];
        const error = [event.errorType, event.errorMessage].filter((part) => part !== undefined).join(": ");
        return [
          event.functionName,
          [`${paint("red", `← ${inert(error === "" ? "error" : error)}`)} ${took}`],
        ];
      }
      case "process.started":
      case "process.ready":
      case "process.waiting":
      case "process.logged":
      case "process.exited":
        return [event.processName, this.#processes ? ofProcess(event) : []];
      case "worker.started":
      case "worker.ready":
      case "worker.exited":
      case "sandbox.connected":
      case "sandbox.disconnected":
      case "invocation.received":
      case "invocation.delivered":
      case "invocation.undelivered":
      default:
        // A newer daemon's events, too.
        return [OURS, []];
    }
  }
}

const urlLines = (urls: Readonly<Record<string, string>>): string[] =>
  Object.entries(urls).map(([name, url]) => `${name} ${paint("cyan", url)}`);

type ProcessEvent = Extract<LivedevEvent, { type: `process.${string}` }>;

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function ofProcess(event: ProcessEvent): string[] {
  switch (event.type) {
    case "process.started":
      return [paint("dim", `started, pid ${event.pid}`)];
    case "process.ready":
      return [
        `${paint("green", "ready")} in ${duration(event.tookMs)}${event.url === undefined ? "" : ` ${paint("cyan", event.url)}`}`,
      ];
    case "process.waiting":
      return [paint("yellow", `waits: ${inert(event.why)}`)];
    case "process.logged":
      return event.lines.map((line) => inert(line));
    case "process.exited": {
      const again = event.retryInMs === undefined ? "" : `, again in ${duration(event.retryInMs)}`;
      if (event.reason === "crashed") return [paint("red", `crashed: ${inert(event.how)}${again}`)];
      if (event.reason === "ended") return [paint("dim", `ended by itself (${event.how})`)];
      return [paint("dim", event.reason === "restarted" ? `restarted: ${inert(event.how)}` : event.reason)];
    }
  }
}
