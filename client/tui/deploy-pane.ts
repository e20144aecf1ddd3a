/** The deployment that runs or ran last: its plan, how far it is, what it gave; and one by hand. */
import type { PlannedStep, StagePlan } from "../../proto/rpc.ts";
import { clock, duration } from "../time.ts";
import type { Action } from "./keymap.ts";
import { line, lines, span, spans, type Line } from "./spans.ts";
import { DIM, STYLES, withFlags, type Style } from "./style.ts";
import type { System } from "./system.ts";
import { TextPane } from "./text-pane.ts";

/** What is done by hand, which is the app's to do: it asks before it applies. */
export type ByHand =
  | { readonly is: "nothing" }
  | { readonly is: "planning" }
  | { readonly is: "planned"; readonly plan: StagePlan }
  | { readonly is: "failed"; readonly message: string };

export type DeployPaneOptions = {
  readonly system: System;
  readonly byHand: () => ByHand;
  readonly plan: () => void;
};

const SIGNS: Readonly<Record<PlannedStep["step"], readonly [style: Style, sign: string]>> = {
  create: [STYLES.green, "+"],
  update: [STYLES.yellow, "~"],
  delete: [STYLES.red, "-"],
};

export class DeployPane extends TextPane {
  readonly #options: DeployPaneOptions;

  constructor(options: DeployPaneOptions) {
    super({ context: "deploy", atEnd: false });
    this.#options = options;
  }

  title(): Line {
    const { status } = this.#options.system;
    const found = this.found;
    return [
      span("Deploy", STYLES.bold),
      ...(status === undefined
        ? []
        : [span(`  ${status.app}, stage ${status.stage}, home ${status.home}`, STYLES.dim)]),
      ...(found === "" ? [] : [span(`  ${found}`, STYLES.yellow)]),
    ];
  }

  override can(action: Action): boolean {
    if (action !== "plan") return super.can(action);
    const { system, byHand } = this.#options;
    return (
      system.awaySince === undefined &&
      byHand().is !== "planning" &&
      system.status?.live.state !== "deploying"
    );
  }

  override act(action: Action): void {
    if (action === "plan") this.#options.plan();
    else super.act(action);
  }

  lines(): Line[] {
    return [...this.#state(), ...this.#config(), ...this.#byHand(), ...this.#course(), ...this.#outputs()];
  }

  #state(): Line[] {
    const { status } = this.#options.system;
    if (status === undefined) return [line("…", STYLES.dim)];
    const { live, bridge } = status;
    const down = bridge.down;
    return [
      ...liveLines(live),
      ...(down === undefined
        ? []
        : [[span("bridge down", STYLES.red), ...spans(` since ${clock(down.since)}: ${down.reason}`)]]),
      ...(status.cloud?.running === false
        ? [line("the local cloud is stopped: `livedev cloud start` starts it again", STYLES.red)]
        : []),
    ];
  }

  #config(): Line[] {
    const config = this.#options.system.status?.config;
    if (config?.state !== "broken") return [];
    const at =
      config.file === undefined
        ? ""
        : `${config.file}${config.line === undefined ? "" : `:${config.line}`}: `;
    const text = config.message.startsWith(at) ? config.message : at + config.message;
    return [[], ...lines(text, STYLES.red)];
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #byHand(): Line[] {
    const byHand = this.#options.byHand();
    switch (byHand.is) {
      case "nothing":
        return [];
      case "planning":
        return [[], line("Comparing what stands with the config …", STYLES.dim)];
      case "failed":
        return [[], ...lines(byHand.message, STYLES.red)];
      case "planned":
        return [[], line("Plan", STYLES.bold), ...planLines(byHand.plan)];
    }
  }

  // oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
  #course(): Line[] {
    const { course, steps } = this.#options.system.deployment;
    const done = steps.filter(({ state }) => state === "done").length;
    const list = steps.map(({ state, step, resource, tookMs }): Line =>
      state === "waiting"
        ? [span("· ", STYLES.dim), ...spans(`${step} ${resource}`, STYLES.dim)]
        : [
            span("✓ ", STYLES.green),
            ...spans(`${step} ${resource}`),
            ...(tookMs === undefined ? [] : [span(`  ${duration(tookMs)}`, STYLES.dim)]),
          ],
    );
    switch (course.is) {
      case "none":
        return [];
      case "running":
        return [[], line(`Deploying, ${done} of ${course.steps}`, STYLES.bold), ...list];
      case "done":
        return [
          [],
          [span("Deployed", STYLES.bold), span(` at ${clock(course.at)} in ${duration(course.tookMs)}`)],
          ...list,
        ];
      case "failed":
        return [
          [],
          [span("Failed", withFlags(STYLES.red, STYLES.bold.flags)), span(` at ${clock(course.at)}`)],
          ...list,
          ...lines(course.message, STYLES.red),
        ];
    }
  }

  #outputs(): Line[] {
    const { urls, outputs } = this.#options.system.deployment;
    const rows = [
      ...Object.entries(urls).map(([name, url]) => [name, url, STYLES.cyan] as const),
      ...Object.entries(outputs).map(
        ([name, value]) =>
          [name, typeof value === "string" ? value : JSON.stringify(value), STYLES.plain] as const,
      ),
    ];
    if (rows.length === 0) return [];
    const widest = Math.max(...rows.map(([name]) => name.length));
    return [
      [],
      line("Outputs", STYLES.bold),
      ...rows.map(([name, value, style]): Line => [span(`${name.padEnd(widest)}  `), ...spans(value, style)]),
    ];
  }
}

type Live = NonNullable<System["status"]>["live"];

// oxlint-disable-next-line typescript/consistent-return -- the switch is exhaustive
function liveLines(live: Live): Line[] {
  switch (live.state) {
    case "off":
      return [[span("not live", STYLES.yellow), span(": nobody has put stubs in place")]];
    case "deploying":
      return [[span("deploying", STYLES.yellow), ...spans(live.step === undefined ? "" : `  ${live.step}`)]];
    case "live":
      return [[span("live", STYLES.green), span(` since ${clock(live.since)}`)]];
    case "failed":
      return [
        line("the deployment failed", STYLES.red),
        ...lines(live.message),
        ...(live.hint === undefined ? [] : lines(live.hint, STYLES.dim)),
      ];
  }
}

export function planLines({ steps, commands }: StagePlan): Line[] {
  if (steps.length + commands.length === 0) return [line("Nothing to do: all stands as the config says.")];
  const changes = ({ what, from, to }: PlannedStep["changes"][number]): Line => {
    if (from === undefined && to === undefined) return spans(`    ${what}`, STYLES.dim);
    return spans(`    ${what}: ${from === undefined ? "" : `${from} → `}${to ?? ""}`, STYLES.dim);
  };
  const count = (kind: PlannedStep["step"]) => steps.filter(({ step }) => step === kind).length;
  return [
    ...steps.flatMap((step): Line[] => {
      const [style, sign] = SIGNS[step.step];
      return [
        [
          span(`${sign} `, style),
          ...spans(step.resource),
          ...(step.drift ? [span("  changed outside of livedev", withFlags(STYLES.yellow, DIM))] : []),
        ],
        ...step.changes.map(changes),
      ];
    }),
    ...commands.map(({ resource, command }): Line => [
      span("> ", STYLES.cyan),
      ...spans(`${resource}: ${command}`),
    ]),
    line(`${count("create")} to create, ${count("update")} to update, ${count("delete")} to delete.`),
  ];
}
