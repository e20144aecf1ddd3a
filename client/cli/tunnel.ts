import { setTimeout as wait } from "node:timers/promises";

import type { Command } from "commander";

import type { RpcResult } from "../../proto/rpc.ts";

import { connect, type LivedevClient } from "../connect.ts";
import { printEither, type Cli, type Common } from "./cli.ts";
import { EXIT } from "./exit.ts";
import { hasColours, inert, paint, print, printJson, table } from "./output.ts";
import { clock, duration } from "./time.ts";
import { isTunnelEvent, TUNNEL_EVENTS, tunnelLines } from "./tunnel-events.ts";
import { tunnelRunCommand } from "./tunnel-run.ts";

type Status = RpcResult<"tunnel.status">;
type Up = Exclude<Status, { state: "off" }>;
type Options = Common & { readonly watch?: boolean };

const EVERY_MS = 1_000;
const STORY_LINES = 6;

export function tunnelCommand(cli: Cli): Command {
  const tunnel = cli.bare(
    "tunnel",
    "The SSH connection to the bastion, both ways: status | run. It comes up by itself.",
    [
      ["livedev tunnel status", "whether it is up, and what goes through it"],
      ["livedev tunnel run -- psql", "a program that knows no proxy, in the VPC (Linux)"],
    ],
  );
  // `run` leaves options behind its own arguments to the command.
  tunnel.enablePositionalOptions();
  tunnel.addCommand(statusCommand(cli));
  tunnel.addCommand(tunnelRunCommand(cli));
  return tunnel;
}

function statusCommand(cli: Cli): Command {
  return cli
    .command("status", "Whether the tunnel is up, its ports, and what goes through it. Starts nothing.", [
      ["livedev tunnel status", "exit code 1 where one is wanted and is not up"],
      ["livedev tunnel status --watch", "once a second, until Ctrl-C"],
    ])
    .option("--watch", "shows it again and again")
    .action(
      cli.action<Options>(async ({ options }) => {
        await using client = await connect({ ...options, open: false, environment: {}, signal: cli.signal });
        let status = await client.call("tunnel.status", {}, { signal: cli.signal });
        if (options.watch !== true) {
          printEither(options.json, status, () => statusText(status));
          return status.state === "off" || status.state === "up" ? EXIT.done : EXIT.failed;
        }
        const story = new Story(client);
        let before: Status | undefined;
        while (!cli.signal.aborted) {
          if (options.json === true) printJson(status);
          else draw([statusText(status, before), ...(await story.lines())].join("\n"));
          before = status;
          await wait(EVERY_MS, undefined, { signal: cli.signal }).catch(() => {});
          if (cli.signal.aborted) break;
          status = await client.call("tunnel.status", {}, { signal: cli.signal });
        }
        return EXIT.done;
      }),
    );
}

/** What became of the tunnel, by history: the last of it. */
class Story {
  readonly #client: LivedevClient;
  #after = 0;
  #lines: string[] = [];

  constructor(client: LivedevClient) {
    this.#client = client;
  }

  async lines(): Promise<readonly string[]> {
    const limit = 1_000;
    let more: number;
    do {
      const asked = { after: this.#after, limit, types: [...TUNNEL_EVENTS] };
      const { events } = await this.#client.call("event.list", asked);
      for (const { seq, at, event } of events) {
        this.#after = seq;
        if (isTunnelEvent(event))
          this.#lines.push(`  ${paint("dim", clock(at))} ${tunnelLines(event).join(" ")}`);
      }
      this.#lines = this.#lines.slice(-STORY_LINES);
      more = events.length;
    } while (more === limit);
    return this.#lines;
  }
}

/** In its place on a terminal; one behind the other in a pipe. */
function draw(text: string): void {
  print(hasColours() && process.stdout.isTTY ? `\u001B[H\u001B[2J${text}` : `${text}\n`);
}

function statusText(status: Status, before?: Status): string {
  if (status.state === "off") {
    return "No tunnel: app() in livedev.config.ts has no `bastion` (docs/tunnel.md).";
  }
  const last = before === undefined || before.state === "off" ? undefined : before;
  return [
    headline(status),
    ...inwardLines(status),
    table(
      [
        ["", "connections", "in all", "from there", "to there"],
        traffic("inward", status.inward, last?.inward),
        traffic("outward", status.outward, last?.outward),
      ],
      "  ",
    ),
    ...(status.ports.length + (status.socks === undefined ? 0 : 1) === 0 ? [] : [table(ports(status), "  ")]),
  ].join("\n");
}

function headline({ state, host, since, cipher, native, problem, retryAt }: Up): string {
  switch (state) {
    case "up": {
      const made = native === true ? "ssh2's compiled ciphers" : "Node's ciphers";
      return `${host}: ${paint("green", "up")} since ${clock(since)} (${cipher ?? ""}, ${made})`;
    }
    case "connecting":
      return `${host}: ${paint("yellow", "connecting")} ${inert(problem?.message ?? "")}`.trimEnd();
    case "waiting": {
      const seconds = duration(Math.max(0, (retryAt ?? 0) - Date.now()));
      const hint = problem?.hint === undefined ? "" : `\n  ${inert(problem.hint)}`;
      return `${host}: ${paint("red", "down")} since ${clock(since)}, tried again in ${seconds}: ${inert(problem?.message ?? "")}${hint}`;
    }
    default:
      return state satisfies never;
  }
}

function inwardLines({ address, addressProblem }: Up): string[] {
  if (address !== undefined) return [`  stubs reach it at ${paint("cyan", address)}`];
  if (addressProblem === undefined) return [];
  const hint = addressProblem.hint === undefined ? [] : [`  ${inert(addressProblem.hint)}`];
  return [`  ${paint("red", inert(addressProblem.message))}`, ...hint];
}

function traffic(name: string, now: Up["inward"], before: Up["inward"] | undefined): string[] {
  const rate = (bytes: number, was: number | undefined) =>
    was === undefined ? amount(bytes) : `${amount(bytes)} (${amount(bytes - was)}/s)`;
  return [
    name,
    String(now.open),
    String(now.opened),
    rate(now.bytesIn, before?.bytesIn),
    rate(now.bytesOut, before?.bytesOut),
  ];
}

function ports({ ports: each, socks }: Up): string[][] {
  const taken = (by: string | undefined) =>
    by === undefined ? "" : paint("red", `taken by ${inert(by)}; looked at again each second`);
  return [
    ...each.map(({ name, host, port, local, takenBy }) => [
      `127.0.0.1:${local}`,
      `${name} (${host}:${port})`,
      taken(takenBy),
    ]),
    ...(socks === undefined ? [] : [[`127.0.0.1:${socks.port}`, "SOCKS5", taken(socks.takenBy)]]),
  ];
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

function amount(bytes: number): string {
  let [value, unit] = [bytes, 0];
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}
