/** The tunnel, where there is one: how it stands, and what goes through it. */
import type { RpcMethod } from "../../proto/rpc.ts";
import { clock } from "../time.ts";
import { line, lines, span, spans, type Line } from "./spans.ts";
import { STYLES, type Style } from "./style.ts";
import type { System } from "./system.ts";
import { TextPane } from "./text-pane.ts";

type Problem = { readonly message: string; readonly hint?: string };
type Traffic = {
  readonly open: number;
  readonly opened: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
};
type Port = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly local: number;
  readonly takenBy?: string;
};

type Tunnel =
  | { readonly state: "off" }
  | {
      readonly state: "connecting" | "up" | "waiting";
      readonly host: string;
      readonly since: number;
      readonly problem?: Problem;
      readonly retryAt?: number;
      readonly address?: string;
      readonly addressProblem?: Problem;
      readonly inward: Traffic;
      readonly outward: Traffic;
      readonly ports: readonly Port[];
    };

const STATES = { up: STYLES.green, connecting: STYLES.yellow, waiting: STYLES.red } as const satisfies Record<
  string,
  Style
>;
const SIGNS = { up: "●", connecting: "◐", waiting: "✗" } as const;
const REFRESH_MS = 1_000;

export class TunnelPane extends TextPane {
  readonly #options: { readonly system: System; readonly changed: () => void };
  #tunnel: Tunnel = { state: "off" };
  #timer: NodeJS.Timeout | undefined;

  constructor(options: { readonly system: System; readonly changed: () => void }) {
    super({ context: "tunnel", atEnd: false });
    this.#options = options;
  }

  /** For the sidebar; undefined: there is none. */
  get summary(): Line | undefined {
    const tunnel = this.#tunnel;
    if (tunnel.state === "off") return undefined;
    return [span(`${SIGNS[tunnel.state]} `, STATES[tunnel.state]), span("Tunnel")];
  }

  /** Its traffic is counted, not told. */
  override show(): void {
    this.#timer ??= setInterval(() => this.refresh(), REFRESH_MS);
    this.refresh();
  }

  override hide(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  refresh(): void {
    // An older daemon has no such method.
    const asked = this.#options.system.client.call("tunnel.status" as RpcMethod, {}) as Promise<unknown>;
    asked.then(
      (tunnel) => {
        this.#tunnel = tunnel as Tunnel;
        this.#options.changed();
      },
      () => {},
    );
  }

  title(): Line {
    const tunnel = this.#tunnel;
    if (tunnel.state === "off") return [span("Tunnel", STYLES.bold)];
    return [
      span("Tunnel", STYLES.bold),
      span(`  ${tunnel.state}`, STATES[tunnel.state]),
      ...spans(`  ${tunnel.host} since ${clock(tunnel.since)}`, STYLES.dim),
    ];
  }

  lines(): Line[] {
    const tunnel = this.#tunnel;
    if (tunnel.state === "off") return [line("No bastion is configured.", STYLES.dim)];
    return [
      ...problem(tunnel.problem),
      ...(tunnel.retryAt === undefined ? [] : [line(`tried again at ${clock(tunnel.retryAt)}`, STYLES.dim)]),
      ...(tunnel.address === undefined
        ? []
        : [[span("stubs reach it at ", STYLES.dim), ...spans(tunnel.address)]]),
      ...problem(tunnel.addressProblem),
      [],
      traffic("from stubs", tunnel.inward),
      traffic("into the VPC", tunnel.outward),
      ...(tunnel.ports.length === 0 ? [] : [[], line("Ports", STYLES.bold)]),
      ...tunnel.ports.map(({ name, host, port, local, takenBy }): Line => [
        span(`127.0.0.1:${local}  `, takenBy === undefined ? STYLES.cyan : STYLES.red),
        ...spans(`${name}  ${host}:${port}`),
        ...(takenBy === undefined ? [] : spans(`  taken by ${takenBy}`, STYLES.red)),
      ]),
    ];
  }
}

function problem(found: Problem | undefined): Line[] {
  if (found === undefined) return [];
  return [
    ...lines(found.message, STYLES.red),
    ...(found.hint === undefined ? [] : lines(found.hint, STYLES.dim)),
  ];
}

const traffic = (name: string, { open, opened, bytesIn, bytesOut }: Traffic): Line => [
  span(name.padEnd(14), STYLES.dim),
  span(`${open} open, ${opened} in all, ${bytes(bytesIn)} in, ${bytes(bytesOut)} out`),
];

function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  return count < 1024 * 1024 ? `${(count / 1024).toFixed(1)} KB` : `${(count / 1024 / 1024).toFixed(1)} MB`;
}
