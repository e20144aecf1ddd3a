/** The tunnel, where there is one: how it stands, and what goes through it. */
import type { RpcResult } from "../../proto/rpc.ts";
import { clock } from "../time.ts";
import { line, lines, span, spans, type Line } from "./spans.ts";
import { STYLES, type Style } from "./style.ts";
import type { System } from "./system.ts";
import { TextPane } from "./text-pane.ts";

type Tunnel = Exclude<RpcResult<"tunnel.status">, { state: "off" }>;

const STATES = { up: STYLES.green, connecting: STYLES.yellow, waiting: STYLES.red } as const satisfies Record<
  string,
  Style
>;
const SIGNS = { up: "●", connecting: "◐", waiting: "✗" } as const;
const REFRESH_MS = 1_000;

export class TunnelPane extends TextPane {
  readonly #system: System;
  #timer: NodeJS.Timeout | undefined;

  constructor(system: System) {
    super({ context: "tunnel", atEnd: false });
    this.#system = system;
  }

  /** For the sidebar; undefined: there is none. */
  get summary(): Line | undefined {
    const tunnel = this.#tunnel;
    return tunnel === undefined
      ? undefined
      : [span(`${SIGNS[tunnel.state]} `, STATES[tunnel.state]), span("Tunnel")];
  }

  get #tunnel(): Tunnel | undefined {
    const { tunnel } = this.#system;
    return tunnel === undefined || tunnel.state === "off" ? undefined : tunnel;
  }

  /** Its traffic is counted, not told. */
  override show(): void {
    this.#timer ??= setInterval(() => this.#system.refresh(), REFRESH_MS);
    this.#system.refresh();
  }

  override hide(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  title(): Line {
    const tunnel = this.#tunnel;
    if (tunnel === undefined) return [span("Tunnel", STYLES.bold)];
    return [
      span("Tunnel", STYLES.bold),
      span(`  ${tunnel.state}`, STATES[tunnel.state]),
      ...spans(`  ${tunnel.host} since ${clock(tunnel.since)}`, STYLES.dim),
    ];
  }

  lines(): Line[] {
    const tunnel = this.#tunnel;
    if (tunnel === undefined) return [line("No bastion is configured.", STYLES.dim)];
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

function problem(found: Tunnel["problem"]): Line[] {
  if (found === undefined) return [];
  return [
    ...lines(found.message, STYLES.red),
    ...(found.hint === undefined ? [] : lines(found.hint, STYLES.dim)),
  ];
}

const traffic = (name: string, { open, opened, bytesIn, bytesOut }: Tunnel["inward"]): Line => [
  span(name.padEnd(14), STYLES.dim),
  span(`${open} open, ${opened} in all, ${bytes(bytesIn)} in, ${bytes(bytesOut)} out`),
];

function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  return count < 1024 * 1024 ? `${(count / 1024).toFixed(1)} KB` : `${(count / 1024 / 1024).toFixed(1)} MB`;
}
