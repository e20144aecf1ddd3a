/**
 * Processes that were started before anyone knew what they would run, so that a new worker needs no start-up of Node.
 * One kind for each Node binary; a spare that was taken is replaced at once, in the background.
 */
import { messageOf } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { processIdentity } from "../lib/process-identity.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { ExecutionEnvironment, type OutputLine } from "../runtime/environment.ts";
import { INSPECTABLE } from "../runtime/inspector.ts";
import type { Leftovers } from "../runtime/leftovers.ts";
import type { Processes } from "../runtime/processes.ts";
import type { Load } from "../runtime/runner/spare.ts";

export type Spare = {
  readonly environment: ExecutionEnvironment;
  /** Once: from then on it is this function's. */
  load(what: Load): void;
  /** Whom its output goes to, from now on; until then it prints nothing of anybody's. */
  listen(print: (line: OutputLine) => void | Promise<void>): void;
};

export class Spares {
  readonly #count: number;
  readonly #cwd: string;
  readonly #leftovers: Leftovers;
  readonly #processes: Processes;
  readonly #env: Readonly<Record<string, string>>;
  readonly #onRefused: ((reason: string) => void) | undefined;
  readonly #log: Log;
  readonly #byNode = new Map<string, Promise<Spare>[]>();
  #closed = false;

  /** `env`: what each is started with; Node reads some of it only then (certificates). */
  constructor(options: {
    count: number;
    cwd: string;
    env: Readonly<Record<string, string>>;
    leftovers: Leftovers;
    processes: Processes;
    onRefused?: ((reason: string) => void) | undefined;
    log: Log;
  }) {
    this.#count = options.count;
    this.#cwd = options.cwd;
    this.#env = options.env;
    this.#leftovers = options.leftovers;
    this.#processes = options.processes;
    this.#onRefused = options.onRefused;
    this.#log = options.log;
  }

  /** A process under this Node, to be told what to load. `startEnv`: variables that Node reads as it starts. */
  async take(node: string, startEnv: Readonly<Record<string, string>>): Promise<Spare> {
    const plain = Object.keys(startEnv).length === 0;
    const spare = (plain ? await this.#kept(node) : undefined) ?? (await this.#start(node, startEnv));
    if (plain) this.prepare(node);
    return spare;
  }

  /** Starts what is missing. */
  prepare(node: string): void {
    if (this.#closed) return;
    const kept = this.#byNode.get(node) ?? [];
    this.#byNode.set(node, kept);
    while (kept.length < this.#count) {
      const spare = this.#start(node, {});
      kept.push(spare);
      spare.then(
        ({ environment }) =>
          environment.exited.then(() => {
            remove(kept, spare);
            return environment[Symbol.asyncDispose]();
          }),
        (error: unknown) => {
          remove(kept, spare);
          this.#log.warn({ node, reason: messageOf(error) }, "a spare process could not be started");
        },
      );
    }
  }

  /** Those of other binaries are let go. */
  async keepOnly(nodes: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#byNode].filter(([node]) => !nodes.has(node));
    for (const [node] of gone) this.#byNode.delete(node);
    await Promise.all(gone.flatMap(([, spares]) => spares.map(end)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.keepOnly(new Set());
  }

  async #kept(node: string): Promise<Spare | undefined> {
    for (;;) {
      const spare = this.#byNode.get(node)?.shift();
      if (spare === undefined) return undefined;
      const started = await spare.catch(() => undefined);
      // It may have died meanwhile, of a lack of memory for instance.
      if (started?.environment.alive === true && !hasJustDied(started.environment.pid)) return started;
    }
  }

  async #start(node: string, startEnv: Readonly<Record<string, string>>): Promise<Spare> {
    let print: (line: OutputLine) => void | Promise<void> = () => {};
    const environment = await ExecutionEnvironment.open({
      command: [node, "--enable-source-maps", INSPECTABLE, PROGRAMS.runner, "--spare"],
      cwd: this.#cwd,
      env: { ...this.#env, ...startEnv },
      ipc: true,
      onOutput: (line) => print(line),
      leftovers: this.#leftovers,
      processes: this.#processes,
      onRefused: this.#onRefused,
      log: this.#log,
    });
    return {
      environment,
      load: (what) => environment.send(what),
      listen: (listener) => (print = listener),
    };
  }
}

/** The news of its death comes through another thread; where it costs nothing to ask, nobody is given to the dead. */
const hasJustDied = (pid: number) => process.platform === "linux" && processIdentity(pid) === undefined;

async function end(spare: Promise<Spare>): Promise<void> {
  const started = await spare.catch(() => undefined);
  await started?.environment[Symbol.asyncDispose]();
}

function remove<T>(list: T[], item: T): void {
  const place = list.indexOf(item);
  if (place >= 0) list.splice(place, 1);
}
