import type { Command } from "commander";

import type { BuildError } from "../../proto/events.ts";
import type { DaemonStatus, FunctionStatus } from "../../proto/rpc.ts";

import { connect } from "../connect.ts";
import { printEither, type Cli, type Common } from "./cli.ts";
import { inert, paint, table, type Style } from "./output.ts";
import { processTable } from "./process-text.ts";
import { clock, duration } from "./time.ts";

export function statusCommand(cli: Cli): Command {
  return cli
    .command(
      "status",
      "The daemon, whether the stage is live, functions with their URLs, frontends and services, build errors. Starts nothing.",
      [
        [`${cli.name} status`, "exit code 3 where no daemon runs"],
        [`${cli.name} status --json | jq -r '.functions[].url'`, "for scripts"],
      ],
    )
    .action(
      cli.action<Common>(async ({ options }) => {
        const { signal } = cli;
        await using client = await connect({ ...options, open: false, environment: {}, signal });
        const status = await client.call("daemon.status", {}, { signal });
        printEither(options.json, status, () => statusText(status));
      }),
    );
}

function statusText(status: DaemonStatus): string {
  const up = duration(Date.now() - status.startedAt);
  const head = [
    ["app", `${paint("bold", status.app)}, stage ${status.stage}, home ${status.home}`],
    ["daemon", `pid ${status.pid}, up ${up}, livedev ${status.version}`],
    ["live", liveText(status)],
    ["bridge", bridgeText(status)],
    ...(status.cloud === undefined ? [] : [["cloud", cloudText(status.cloud)]]),
    ...configRow(status),
  ];
  const functions = status.functions.flatMap((fn) => [row(fn)]);
  return [
    table(head.map(([name = "", text = ""]) => [paint("dim", name), text])),
    table(functions),
    processTable(status.processes),
    ...buildErrors(status),
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** What is wrong with the user's own files, as `status` says it; nothing where all is well. */
export function brokenText(status: DaemonStatus): string {
  return [table(configRow(status)), ...buildErrors(status)].filter((part) => part !== "").join("\n\n");
}

const buildErrors = ({ functions }: DaemonStatus): string[] =>
  functions.flatMap(({ name, errors }) => (errors ?? []).map((error) => buildErrorText(name, error)));

function bridgeText({ bridge: { address, sandboxes, down } }: DaemonStatus): string {
  const text = `${address}, ${count(sandboxes, "stub")} connected`;
  if (down === undefined) return text;
  return `${text}, ${paint("red", "down")} since ${clock(down.since)}: ${inert(down.reason)}`;
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function configRow({ config }: DaemonStatus): string[][] {
  switch (config.state) {
    case "ready":
      return [];
    case "loading":
      return [["config", "loading …"]];
    case "broken": {
      const at =
        config.file === undefined
          ? ""
          : `${config.file}${config.line === undefined ? "" : `:${config.line}`}: `;
      const text = inert(config.message);
      return [["config", paint("red", text.startsWith(at) ? text : at + text)]];
    }
  }
}

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function liveText({ live }: DaemonStatus): string {
  switch (live.state) {
    case "off":
      return `${paint("yellow", "no")}: \`livedevd start\` puts the stubs in place`;
    case "deploying":
      return `${paint("yellow", "deploying")}${live.step === undefined ? "" : `: ${live.step}`}`;
    case "live":
      return `${paint("green", "yes")}, since ${clock(live.since)}`;
    case "failed":
      return `${paint("red", "failed")}: ${[live.message, live.hint ?? ""].join(" ").trim()}`;
  }
}

const STATES: Readonly<Record<FunctionStatus["state"], Style>> = {
  idle: "dim",
  building: "yellow",
  ready: "green",
  broken: "red",
};

function row(fn: FunctionStatus): string[] {
  const busy = [
    ...(fn.node === undefined ? [] : [paint("yellow", nodeText(fn))]),
    ...(fn.running > 0 ? [`${fn.running} running`] : []),
    ...(fn.queued > 0 ? [`${fn.queued} queued`] : []),
  ];
  return [
    paint("bold", fn.name),
    paint(STATES[fn.state], fn.state),
    fn.handler,
    [...(fn.url === undefined ? [] : [paint("cyan", fn.url)]), ...busy].join("  "),
  ];
}

const nodeText = ({ runtime, node = "" }: FunctionStatus): string => `${runtime} under Node ${node}`;

/** As editors understand it: file:line:column, the first column 1. */
export function buildErrorText(functionName: string, error: BuildErrorLike): string {
  const { file, line, column = 0 } = error;
  const at = file === undefined ? "" : `${file}${line === undefined ? "" : `:${line}:${column + 1}`} `;
  const head = `${paint("red", functionName)}  ${paint("bold", at)}${inert(error.text)}`;
  if (error.lineText === undefined || line === undefined) return head;
  const number = String(line);
  const bar = paint("dim", "│");
  return [
    head,
    `  ${paint("dim", number)} ${bar} ${inert(error.lineText)}`,
    `  ${" ".repeat(number.length)} ${bar} ${" ".repeat(column)}${paint("red", "^")}`,
  ].join("\n");
}

type BuildErrorLike = { readonly [Name in keyof BuildError]?: BuildError[Name] | undefined } & {
  readonly text: string;
};

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function cloudText({ endpoint, running }: NonNullable<DaemonStatus["cloud"]>): string {
  return running ? endpoint : paint("red", "stopped: `livedev cloud start` starts it again");
}
