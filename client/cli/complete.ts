/**
 * What may come next on a command line, for the shells: `livedev __complete -- <words>`, the last word being the one
 * that is written. Prints a candidate a line, `word<TAB>what it is`; the line `:files` leaves it to the shell. Words
 * come from the commands themselves, names of functions from a daemon that runs. It starts nothing, and where
 * something is wrong it prints nothing.
 */
import { readdirSync } from "node:fs";
import { request } from "node:http";
import { dirname } from "node:path";

import type { Command, Option } from "commander";

import { isStage } from "../../proto/discovery.ts";
import type { RpcMethod } from "../../proto/rpc.ts";

import { checkSocketDirectory, locate } from "../discovery.ts";
import { FUNCTION_STATES, PROCESS_STATES } from "./condition.ts";
import { STATES } from "./history.ts";

type Candidate = readonly [word: string, what?: string];

/** A daemon answers within a few. A shell waits at each press of the key, so one that hangs is soon given up. */
const PATIENCE_MS = 400;

export async function complete(program: Command, words: readonly string[]): Promise<string> {
  const rest = words[0] === "--" ? words.slice(1) : words;
  const current = rest.at(-1) ?? "";
  const candidates = await candidatesFor(program, rest.slice(0, -1), current);
  return candidates
    .filter(([word]) => word.startsWith(current) || word === FILES)
    .map(([word, what]) => `${what === undefined ? word : `${word}\t${what}`}\n`)
    .join("");
}

const FILES = ":files";
/** Of the newest invocations. */
const IDS = 20;

async function candidatesFor(
  program: Command,
  before: readonly string[],
  current: string,
): Promise<Candidate[]> {
  const [name, ...words] = before;
  if (name === undefined) return current.startsWith("-") ? options(program) : commands(program);
  if (name === "help") return words.length === 0 ? commands(program) : [];
  const command = program.commands.find((one) => one.name() === name);
  if (command === undefined || words.includes("--")) return [];
  // `cloud`, `state`, `secret` hold commands of their own; `debug` takes a function's name in their place, too.
  const [first] = words;
  if (command.commands.length > 0 && first === undefined && !current.startsWith("-")) {
    const argument = command.registeredArguments[0]?.name() ?? "";
    return [...commands(command), ...(await values(argument, undefined, {}, current))];
  }
  if (command.commands.some((one) => one.name() === first) || first === "help")
    return candidatesFor(command, words, current);
  const { pending, place, given } = read(command, words);
  if (pending !== undefined) return values(pending.attributeName(), pending.argChoices, given, current);
  if (current.startsWith("-")) return options(command);
  const argument = command.registeredArguments[place];
  return argument === undefined ? [] : values(argument.name(), argument.argChoices, given, current);
}

type Given = Readonly<Record<string, string>>;

/** Where on the line we are: an option that waits for its value, or the place of an argument. */
function read(
  command: Command,
  words: readonly string[],
): { readonly pending: Option | undefined; readonly place: number; readonly given: Given } {
  const given: Record<string, string> = {};
  let pending: Option | undefined;
  let place = 0;
  for (const word of words) {
    if (pending !== undefined) {
      given[pending.attributeName()] = word;
      pending = undefined;
      continue;
    }
    const [, flag = word, joined] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
    const option = command.options.find(({ long, short }) => flag === long || flag === short);
    if (option === undefined) place += word.startsWith("-") && word !== "-" ? 0 : 1;
    else if (joined !== undefined) given[option.attributeName()] = joined;
    else if (option.required || option.optional) pending = option;
  }
  return { pending, place, given };
}

function commands(program: Command): Candidate[] {
  return [
    ...program.commands.map((one): Candidate => [one.name(), one.summary()]),
    ["help", "print a command's help"],
  ];
}

function options(command: Command): Candidate[] {
  return [
    ...command.options
      .filter((one) => !one.hidden)
      .map((one): Candidate => [one.long ?? one.flags, one.description]),
    ["--help", "print this"],
  ];
}

async function values(
  name: string,
  choices: readonly string[] | undefined,
  given: Given,
  current: string,
): Promise<Candidate[]> {
  if (choices !== undefined) return choices.map((word): Candidate => [word]);
  switch (name) {
    case "function":
    case "fn":
      return (await functionNames(given)).map((word): Candidate => [word]);
    case "process":
      return (await names("process.list", given)).map((word): Candidate => [word]);
    case "name":
      return (await Promise.all([functionNames(given), names("process.list", given)]))
        .flat()
        .map((word): Candidate => [word]);
    case "for": {
      const [functions, processes] = await Promise.all([functionNames(given), names("process.list", given)]);
      const each = (kind: string, all: readonly string[], states: readonly string[]) =>
        all.flatMap((one) => states.map((state): Candidate => [`${kind}:${one}=${state}`]));
      return [
        ["live"],
        ["config"],
        ...each("fn", functions, FUNCTION_STATES),
        ...each("process", processes, PROCESS_STATES),
      ];
    }
    case "status": {
      // Several, with commas: what stands before the last one stays.
      const before = current.slice(0, current.lastIndexOf(",") + 1);
      return STATES.map((state): Candidate => [before + state]);
    }
    case "id":
      return (await ask<Row>("invocation.list", given, { limit: IDS })).map(
        ({ id, functionName, status }): Candidate => [String(id), `${functionName} ${status}`],
      );
    case "stage":
      return stages(given).map((word): Candidate => [word]);
    case "project":
    case "file":
    case "bundle":
    case "stateDir":
      return [[FILES]];
    default:
      return [];
  }
}

function stages({ project }: Given): string[] {
  const folder = dirname(locate({ project }).stateDir);
  return (
    readdirSync(folder, { withFileTypes: true })
      // Beside the folders of the stages lies the local cloud's.
      .filter((entry) => entry.isDirectory() && isStage(entry.name) && entry.name !== "cloud")
      .map(({ name }) => name)
  );
}

const functionNames = (given: Given): Promise<string[]> => names("function.list", given);

type Row = { readonly id: number; readonly functionName: string; readonly status: string };

const names = async (method: "function.list" | "process.list", given: Given): Promise<string[]> =>
  (await ask<{ readonly name: string }>(method, given)).map(({ name }) => name);

/** By one HTTP request: nothing is changed, so nothing need be compared first. */
function ask<T>(method: RpcMethod, given: Given, params: object = {}): Promise<readonly T[]> {
  const { socket } = locate({ project: given["project"], stage: given["stage"] });
  if (!checkSocketDirectory(socket)) return Promise.resolve([]);
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        socketPath: socket,
        path: "/rpc",
        method: "POST",
        headers: { "content-type": "application/json" },
        signal: AbortSignal.timeout(PATIENCE_MS),
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("error", reject);
        response.on("end", () => {
          try {
            resolve((JSON.parse(text) as { result: readonly T[] }).result);
          } catch (error) {
            reject(error);
          }
        });
      },
    );
    asked.on("error", reject);
    asked.end(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }));
  });
}
