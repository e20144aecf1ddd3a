/**
 * What the commands of one program share: the options that all have, the signal that Ctrl-C aborts, and one way for
 * every error to reach the user. A command is one file that makes one `Command`; it prints, and gives its exit code.
 */
import { setMaxListeners } from "node:events";

import { Command, CommanderError } from "commander";

import type { ConnectOptions } from "../connect.ts";
import { isInterrupt, LivedevError, messageOf, opening, otherVersion, usage } from "../errors.ts";
import { VERSION } from "../programs.ts";
import { complete } from "./complete.ts";
import { EXIT, type Exit } from "./exit.ts";
import { note, paint, print, printJson, quietOnClosedPipe, written } from "./output.ts";

/** What every command understands. */
export type Common = {
  readonly project?: string;
  readonly stage?: string;
  readonly json?: boolean;
};

export type Example = readonly [command: string, what: string];

export type CommandMaker = (cli: Cli) => Command;

/** A second Ctrl-C, or a command that does not heed the first. */
const PATIENCE_MS = 3_000;

export class Cli {
  readonly name: string;
  #controller: AbortController | undefined;
  #exit: number = EXIT.done;

  constructor(name: string) {
    this.name = name;
  }

  /** Aborted by Ctrl-C and its like. Who never reads it does without, and handles signals itself. */
  get signal(): AbortSignal {
    this.#controller ??= onInterrupt();
    return this.#controller.signal;
  }

  get interrupted(): boolean {
    return this.#controller?.signal.aborted ?? false;
  }

  command(name: string, description: string, examples: readonly Example[]): Command {
    const command = this.bare(name, description, examples);
    return command
      .option("--project <folder>", "the project; by default the nearest folder up with a livedev.config.ts")
      .option("--stage <name>", "the stage; by default the project's current one")
      .option("--json", "print JSON, one value a line");
  }

  /** Without the common options. */
  bare(name: string, description: string, examples: readonly Example[]): Command {
    const command = new Command(name);
    command
      .description(description)
      .summary(description.split(/[.:] /, 1)[0]?.replace(/\.$/, "") ?? "")
      .helpOption("-h, --help", "print this")
      .addHelpText("after", () => `\nExamples:\n${exampleLines(examples)}`)
      .configureOutput({ outputError: () => {} })
      .exitOverride((error) => {
        throw this.#translated(error, command);
      });
    return command;
  }

  /** The action of a command; what it throws reaches `main`. */
  action<Options extends Common>(
    run: (call: { readonly args: readonly string[]; readonly options: Options }) => Promise<number | void>,
  ): (this: Command) => Promise<void> {
    const done = (exit: number) => (this.#exit = exit);
    return async function (this: Command) {
      // Passed on to connect() with the rest.
      const onOtherVersion: ConnectOptions["onOtherVersion"] = (versions) => note(otherVersion(versions));
      const onOpening: ConnectOptions["onOpening"] = (project) => note(opening(project));
      const options = { ...this.opts<Options>(), onOtherVersion, onOpening };
      done((await run({ args: this.args, options })) ?? EXIT.done);
    };
  }

  async main(
    summary: string,
    examples: readonly Example[],
    commands: readonly CommandMaker[],
    argv: readonly string[] = process.argv.slice(2),
  ): Promise<never> {
    quietOnClosedPipe();
    const program = this.program(summary, examples, commands);
    if (argv[0] === "__complete") {
      // A shell is in the middle of drawing a line: nothing but words may reach it.
      process.stdout.write(await complete(program, argv.slice(1)).catch(() => ""));
      return exit(EXIT.done);
    }
    try {
      await program.parseAsync(argv, { from: "user" });
      // A stream that Ctrl-C ended was interrupted too.
      return await exit(this.interrupted ? EXIT.interrupted : this.#exit);
    } catch (error) {
      return exit(this.#report(error, argv.includes("--json")));
    }
  }

  program(summary: string, examples: readonly Example[], commands: readonly CommandMaker[]): Command {
    const program = this.bare(this.name, summary, examples)
      .version(VERSION, "-V, --version", "print the version")
      .helpCommand("help [command]", "print a command's help")
      .enablePositionalOptions();
    for (const make of commands) program.addCommand(make(this));
    return program;
  }

  #translated(error: CommanderError, command: Command): Error {
    // Help and version were printed, by wish.
    if (error.exitCode === 0 || error.code === "commander.help") return error;
    const path: string[] = [];
    for (let at: Command | null = command; at !== null; at = at.parent) path.unshift(at.name());
    return usage(error.message.replace(/^error: /, "").replaceAll("\n", " "), path.join(" "));
  }

  #report(error: unknown, json: boolean): number {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (this.interrupted && isInterrupt(error)) return EXIT.interrupted;
    if (json) printJson({ error: errorBody(error) });
    else printError(error);
    return exitOf(error);
  }
}

/** Once everything is out: a pipe takes 64 KiB at a time, and what waits for it would be lost. */
async function exit(code: number): Promise<never> {
  await Promise.all([written(process.stdout), written(process.stderr)]);
  process.exit(code);
}

/** One or two sentences and what to do next; a bug keeps its stack. */
export function printError(error: unknown): void {
  if (!(error instanceof LivedevError)) {
    note(paint("red", "A bug in livedev:", process.stderr));
    note(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return;
  }
  note(paint("red", error.message, process.stderr));
  if (error.hint !== undefined) note(error.hint);
}

export function errorBody(error: unknown): { code: string; message: string; hint?: string } {
  if (!(error instanceof LivedevError)) return { code: "livedev.bug", message: messageOf(error) };
  const { code, message, hint } = error;
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

function exitOf(error: unknown): Exit {
  if (!(error instanceof LivedevError)) return EXIT.failed;
  if (error.code === "cli.usage" || error.code === "event.notJson") return EXIT.usage;
  return error.code === "daemon.notRunning" ? EXIT.notRunning : EXIT.failed;
}

function exampleLines(examples: readonly Example[]): string {
  const widest = Math.max(...examples.map(([command]) => command.length));
  return examples.map(([command, what]) => `  $ ${command.padEnd(widest)}   # ${what}`).join("\n");
}

/** The first asks; the second, or an unheeded first, ends the process. */
function onInterrupt(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  const end = () => process.exit(EXIT.interrupted);
  const interrupt = () => {
    if (controller.signal.aborted) end();
    controller.abort();
    setTimeout(end, PATIENCE_MS).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  return controller;
}

/** For `--json` beside text: each command says both in one place. */
export function printEither(json: boolean | undefined, value: unknown, text: () => string): void {
  if (json === true) printJson(value);
  else print(text());
}
