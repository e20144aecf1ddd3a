/**
 * The app's functions in a temporary project: real files, real esbuild, real worker processes, no daemon. Saves are
 * told by hand, so that a test can also keep silent about one.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import type { Test } from "tap";

import { Functions, type FunctionRequest } from "../../daemon/functions/functions.ts";
import type { Limits } from "../../daemon/functions/types.ts";
import { silentLog, type Log } from "../../daemon/lib/log.ts";
import type { Answer, LambdaErrorBody } from "../../proto/answer.ts";
import type { ResolvedFunction } from "../../proto/app.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import { NODEJS, wantedFunction as anyFunction } from "../support/wanted.ts";

type Event<T extends LivedevEvent["type"]> = Extract<LivedevEvent, { type: T }>;
type Wanted = Partial<Omit<ResolvedFunction, "nodejs">> & {
  readonly nodejs?: Partial<ResolvedFunction["nodejs"]>;
};

export const APP = { name: "shop", stage: "ada", region: "eu-west-1" };

export type Invoked = {
  readonly answer: Answer;
  /** A buffered answer's body, parsed. */
  readonly value: unknown;
  readonly error: LambdaErrorBody;
  readonly codeHash: string | undefined;
  readonly coldStart: boolean | undefined;
  readonly lines: readonly { readonly stream: string; readonly text: string }[];
  readonly positions: readonly string[];
};

type Options = {
  readonly files: Readonly<Record<string, string>>;
  readonly functions?: Readonly<Record<string, Wanted>>;
  readonly limits?: Partial<Limits>;
  readonly machine?: Readonly<Record<string, string | undefined>>;
  readonly log?: Log;
  readonly onInputs?: () => void;
};

export class Rig {
  readonly project: string;
  readonly outDir: string;
  readonly events: LivedevEvent[] = [];
  functions!: Functions;
  readonly #waiters = new Set<() => void>();
  #from = 0;
  #count = 0;

  private constructor(project: string) {
    this.project = project;
    this.outDir = join(project, ".livedev", "ada", "build");
  }

  /** Closed with the test; no process of it may outlive that. */
  static async open(t: Test, options: Options): Promise<Rig> {
    const rig = new Rig(realpathSync(mkdtempSync(join(tmpdir(), "livedev-functions-"))));
    for (const [path, text] of Object.entries(options.files)) rig.write(path, text);
    settle();
    rig.functions = await Functions.open({
      project: rig.project,
      outDir: rig.outDir,
      leftoversDir: join(rig.outDir, "../leftovers"),
      record: (event) => {
        rig.events.push(event);
        for (const wake of rig.#waiters) wake();
      },
      log: options.log ?? silentLog,
      ...(options.limits !== undefined && { limits: options.limits }),
      ...(options.machine !== undefined && { machine: options.machine }),
      ...(options.onInputs !== undefined && { onInputs: options.onInputs }),
    });
    t.teardown(async () => {
      await rig.functions[Symbol.asyncDispose]();
      const left = rig.of("worker.started").filter(({ pid }) => alive(pid));
      rmSync(rig.project, { recursive: true, force: true, maxRetries: 3 });
      if (left.length > 0) throw new Error(`workers outlived the functions: ${JSON.stringify(left)}`);
    });
    rig.apply(options.functions ?? { Api: {} });
    return rig;
  }

  /** Another project in the place of this one, with fewer costs than a rig of its own: esbuild and spare processes stay. */
  async again({ files, functions = { Api: {} } }: Pick<Options, "files" | "functions">): Promise<void> {
    // With no function at all, spare processes would go.
    this.apply({ Between: { handler: "between.handler" } });
    await this.when(
      () =>
        this.state("Between").state === "broken" &&
        this.of("worker.exited").length === this.of("worker.started").length,
    );
    for (const name of readdirSync(this.project))
      if (name !== ".livedev") rmSync(this.path(name), { recursive: true });
    for (const [path, text] of Object.entries(files)) this.write(path, text);
    settle();
    this.events.length = 0;
    this.#from = 0;
    this.#count = 0;
    this.apply(functions);
  }

  apply(functions: Readonly<Record<string, Wanted>>): void {
    this.functions.apply(
      Object.entries(functions).map(([name, more]) => wanted(name, more)),
      APP,
    );
  }

  path(path: string): string {
    return join(this.project, path);
  }

  /** Nobody is told. */
  write(path: string, text: string): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), text);
  }

  /** Written, and told as late as the watcher tells it: no sooner than file systems count time. */
  save(path: string, text: string): void {
    this.write(path, text);
    settle();
    this.told(path);
  }

  saveAtOnce(path: string, text: string): void {
    this.write(path, text);
    this.told(path);
  }

  told(...paths: readonly string[]): void {
    this.functions.changed({ paths: paths.map((path) => this.path(path)), overflow: false });
  }

  async invoke(
    name = "Api",
    event: unknown = {},
    more: Partial<FunctionRequest> & { readonly signal?: AbortSignal } = {},
  ): Promise<Invoked> {
    let begun: { codeHash: string; coldStart: boolean } | undefined;
    const lines: { stream: string; text: string }[] = [];
    const positions: string[] = [];
    const until = performance.now() + 30_000;
    const { signal = new AbortController().signal, ...request } = more;
    const answer = await this.functions.run(
      {
        functionName: name,
        requestId: `request-${(this.#count += 1)}`,
        event: event instanceof Uint8Array ? event : Buffer.from(JSON.stringify(event)),
        deadlineAt: Date.now() + 30_000,
        remainingMs: () => until - performance.now(),
        functionArn: `arn:aws:lambda:eu-west-1:123456789012:function:${name}`,
        environment: {},
        position: (state) => positions.push(state),
        begun: (info) => {
          begun = info;
        },
        logged: (line) => {
          lines.push(line);
        },
        ...request,
      },
      signal,
    );
    const value = answer.kind === "buffered" ? parsed(answer.body) : undefined;
    return {
      answer,
      value,
      error: value as LambdaErrorBody,
      codeHash: begun?.codeHash,
      coldStart: begun?.coldStart,
      lines,
      positions,
    };
  }

  /** What the handler answered. */
  async value(name = "Api", event: unknown = {}): Promise<unknown> {
    return (await this.invoke(name, event)).value;
  }

  state(name = "Api") {
    const found = this.functions.states().find((state) => state.name === name);
    if (found === undefined) throw new Error(`there is no function ${name}`);
    return found;
  }

  of<T extends LivedevEvent["type"]>(type: T): Event<T>[] {
    return this.events.filter((event): event is Event<T> => event.type === type);
  }

  /** The first event of this type that fits, after the ones that were waited for before. */
  async next<T extends LivedevEvent["type"]>(
    type: T,
    fits: (event: Event<T>) => boolean = () => true,
  ): Promise<Event<T>> {
    const index = await this.#until(() =>
      this.events.findIndex(
        (event, at) => at >= this.#from && event.type === type && fits(event as Event<T>),
      ),
    );
    this.#from = index + 1;
    return this.events[index] as Event<T>;
  }

  /** Waits, event by event, until something has become so. */
  async when(fits: () => boolean): Promise<void> {
    await this.#until(() => (fits() ? 0 : -1));
  }

  async #until(look: () => number): Promise<number> {
    for (;;) {
      const found = look();
      if (found >= 0) return found;
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiters.delete(wake);
          resolve();
        };
        this.#waiters.add(wake);
      });
    }
  }
}

export function wanted(name: string, { nodejs, ...more }: Wanted = {}): ResolvedFunction {
  return anyFunction(name, {
    runtime: `nodejs${process.versions.node.split(".")[0]}.x`,
    timeoutMs: 30_000,
    memoryMb: 1024,
    ...more,
    nodejs: { ...NODEJS, ...nodejs },
  });
}

export const MB = 1024 * 1024;

/** How much more memory this process holds at most while `work` runs. */
export async function growth<T>(work: () => Promise<T>): Promise<{ value: T; grewMb: number }> {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 20);
  try {
    const value = await work();
    return { value, grewMb: Math.round((Math.max(most, process.memoryUsage.rss()) - before) / MB) };
  } finally {
    clearInterval(timer);
  }
}

/** File systems count time in steps of 4 ms: what was written now is told from what is written during a build. */
function settle(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6);
}

export function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return undefined;
  }
}

/** Reaped, or about to be. */
export function hasEnded(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return true;
  }
}
