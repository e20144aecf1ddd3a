/**
 * Which key does what, and where. The user's file gives actions other keys; what it says wrong is an error that names
 * the place, before the terminal is taken.
 */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

import { codeOf, keysInvalid, messageOf } from "../errors.ts";

/**
 * Where keys are heard:
 * - `process`, `deploy`, `functions`, `tunnel`: the sidebar, with this kind of entry chosen
 * - `program`: a process has the keys
 * - `invocations`, `invocation`: the list of them, or one whole
 * - `selecting`: text is being chosen
 */
export type Context =
  | "process"
  | "deploy"
  | "functions"
  | "tunnel"
  | "program"
  | "invocations"
  | "invocation"
  | "selecting";

const SIDEBAR = ["process", "deploy", "functions", "tunnel"] as const;
const OURS = [...SIDEBAR, "invocations", "invocation"] as const;
const SCROLLS = ["process", "deploy", "functions", "invocations", "invocation", "selecting"] as const;

type Definition = {
  readonly keys: readonly string[];
  readonly where: readonly Context[];
  /** In the footer. */
  readonly short: string;
  /** In the list of all keys. */
  readonly long: string;
};

const define = <Name extends string>(actions: Readonly<Record<Name, Definition>>) => actions;

export const ACTIONS = define({
  up: { keys: ["k", "up"], where: [...OURS, "selecting"], short: "up", long: "up" },
  down: { keys: ["j", "down"], where: [...OURS, "selecting"], short: "down", long: "down" },
  left: { keys: ["h", "left"], where: ["selecting"], short: "left", long: "left, while selecting" },
  right: { keys: ["l", "right"], where: ["selecting"], short: "right", long: "right, while selecting" },
  focus: {
    keys: ["enter", "right", "l", "ctrl-a"],
    where: ["process", "functions", "invocations"],
    short: "open",
    long: "keys go to the program; the list of invocations; one invocation whole",
  },
  leave: {
    keys: ["ctrl-z", "ctrl-a"],
    where: ["program"],
    short: "leave",
    long: "keys come back from the program",
  },
  back: {
    keys: ["esc", "left", "h", "ctrl-z"],
    where: [...OURS, "selecting"],
    short: "back",
    long: "back: from a search, a selection, an invocation, a list, the scrollback",
  },
  start: { keys: ["s"], where: ["process"], short: "start", long: "starts the process" },
  stop: {
    keys: ["x"],
    where: ["process"],
    short: "stop",
    long: "stops the process, and all that came of it",
  },
  restart: {
    keys: ["r"],
    where: ["process"],
    short: "restart",
    long: "stops the process and starts it again",
  },
  plan: {
    keys: ["r"],
    where: ["deploy"],
    short: "plan",
    long: "plans a deployment, and applies it when you agree",
  },
  replay: {
    keys: ["r"],
    where: ["invocations", "invocation"],
    short: "replay",
    long: "runs the invocation's event again, on today's code",
  },
  edit: {
    keys: ["e"],
    where: ["invocations", "invocation"],
    short: "edit & replay",
    long: "the same, with the event changed in $VISUAL or $EDITOR first",
  },
  scrollUp: { keys: ["ctrl-u", "pageup"], where: SCROLLS, short: "scroll", long: "half a page up" },
  scrollDown: { keys: ["ctrl-d", "pagedown"], where: SCROLLS, short: "scroll", long: "half a page down" },
  lineUp: { keys: ["ctrl-y"], where: SCROLLS, short: "scroll", long: "three lines up" },
  lineDown: { keys: ["ctrl-e"], where: SCROLLS, short: "scroll", long: "three lines down" },
  first: { keys: ["g", "home"], where: SCROLLS, short: "top", long: "the top" },
  last: { keys: ["G", "end"], where: SCROLLS, short: "bottom", long: "the bottom" },
  search: {
    keys: ["/"],
    where: [...SCROLLS],
    short: "search",
    long: "searches in the pane; among the invocations: only those that hold the text",
  },
  next: {
    keys: ["n"],
    where: ["process", "deploy", "invocation", "selecting"],
    short: "next",
    long: "the next match, downwards",
  },
  previous: {
    keys: ["N"],
    where: ["process", "deploy", "invocation", "selecting"],
    short: "previous",
    long: "the match before, upwards",
  },
  byFunction: {
    keys: ["f"],
    where: ["functions", "invocations"],
    short: "function",
    long: "only invocations of one function",
  },
  byStatus: {
    keys: ["t"],
    where: ["functions", "invocations"],
    short: "status",
    long: "only failed ones, only running ones, all",
  },
  select: {
    keys: ["v"],
    where: ["process", "deploy", "invocation", "selecting"],
    short: "select",
    long: "selects text by keys; again: begins at another place",
  },
  copy: {
    keys: ["y", "c"],
    where: ["process", "deploy", "invocations", "invocation", "selecting"],
    short: "copy",
    long: "copies what is selected, or what the pane shows; an invocation: as JSON, as curl, as `livedev invoke`",
  },
  reveal: {
    keys: ["u"],
    where: ["invocation"],
    short: "reveal",
    long: "shows what is sealed, and copies it so",
  },
  clear: {
    keys: ["ctrl-l"],
    where: ["process"],
    short: "clear",
    long: "empties the terminal and its scrollback",
  },
  open: { keys: ["o"], where: OURS, short: "open livedevd", long: "opens livedevd again, where it is gone" },
  zoom: { keys: ["z"], where: OURS, short: "zoom", long: "the pane alone, and back" },
  help: { keys: ["?"], where: OURS, short: "keys", long: "all keys" },
  quit: {
    keys: ["q", "ctrl-c"],
    where: OURS,
    short: "quit",
    long: "quits, and asks whether all stops or livedevd goes on",
  },
});

export type Action = keyof typeof ACTIONS;

export const ACTION_NAMES = Object.keys(ACTIONS) as Action[];

export class Keymap {
  readonly #keys: ReadonlyMap<Action, readonly string[]>;
  readonly #byContext = new Map<Context, Map<string, Action>>();

  /** @throws LivedevError where two actions would want one key in one place. */
  constructor(given: ReadonlyMap<Action, readonly string[]> = new Map(), file = "") {
    this.#keys = new Map(ACTION_NAMES.map((action) => [action, given.get(action) ?? ACTIONS[action].keys]));
    // The user's own first: a default gives way to them.
    const order = [...given.keys(), ...ACTION_NAMES.filter((action) => !given.has(action))];
    for (const action of order) {
      for (const context of ACTIONS[action].where) {
        for (const name of this.#keys.get(action) ?? []) {
          const taken = this.#of(context).get(name);
          if (taken === undefined) this.#of(context).set(name, action);
          else if (given.has(action) && taken !== action) {
            throw keysInvalid(file, `${action} and ${taken} both want the key ${name}`);
          }
        }
      }
    }
    // Without these nobody would get out.
    for (const action of ["leave", "quit"] as const) {
      if (this.keys(action).length === 0) throw keysInvalid(file, `no key is left for ${action}`);
    }
  }

  action(context: Context, key: string): Action | undefined {
    return this.#byContext.get(context)?.get(key);
  }

  /** Those that do it there: a default key that the user gave to another action is none. */
  keys(action: Action, context?: Context): string[] {
    const where = context === undefined ? ACTIONS[action].where : [context];
    return (this.#keys.get(action) ?? []).filter((key) =>
      where.some((one) => this.action(one, key) === action),
    );
  }

  #of(context: Context): Map<string, Action> {
    const found = this.#byContext.get(context);
    if (found !== undefined) return found;
    const made = new Map<string, Action>();
    this.#byContext.set(context, made);
    return made;
  }
}

export function keysFile(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const configured = env["XDG_CONFIG_HOME"] ?? "";
  // A relative one is to be ignored, as the specification has it.
  const base = isAbsolute(configured) ? configured : join(env["HOME"] ?? homedir(), ".config");
  return join(base, "livedev", "keys.json");
}

/** @throws LivedevError that names the file and what in it is wrong. */
export function loadKeymap(file = keysFile()): Keymap {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return new Keymap();
    throw keysInvalid(file, messageOf(error));
  }
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw keysInvalid(file, `it is no JSON: ${messageOf(error)}`);
  }
  return new Keymap(parsed(file, value), file);
}

function parsed(file: string, value: unknown): Map<Action, readonly string[]> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw keysInvalid(file, 'it must be an object, such as { "quit": ["Q", "ctrl-c"] }');
  }
  const found = new Map<Action, readonly string[]>();
  for (const [name, given] of Object.entries(value)) {
    if (name === "$schema") continue;
    const action = ACTION_NAMES.find((one) => one === name);
    if (action === undefined) throw keysInvalid(file, `there is no action "${name}"${meant(name)}`);
    const keys: unknown[] = Array.isArray(given) ? given : [given];
    found.set(
      action,
      keys.map((one) => {
        const key = typeof one === "string" ? normalized(one) : undefined;
        if (key === undefined) throw keysInvalid(file, `${JSON.stringify(one)} of ${action} is no key`);
        return key;
      }),
    );
  }
  return found;
}

function meant(name: string): string {
  const near = ACTION_NAMES.find((one) => one.toLowerCase() === name.toLowerCase().replaceAll(/[-_ ]/g, ""));
  return near === undefined ? `; there are ${ACTION_NAMES.join(", ")}` : `: did you mean "${near}"?`;
}

const NAMED = new Set([
  "enter",
  "esc",
  "tab",
  "space",
  "backspace",
  "delete",
  "insert",
  "up",
  "down",
  "left",
  "right",
  "home",
  "end",
  "pageup",
  "pagedown",
  ...Array.from({ length: 12 }, (_, index) => `f${index + 1}`),
]);
const MODIFIERS: Readonly<Record<string, string>> = {
  ctrl: "ctrl",
  control: "ctrl",
  c: "ctrl",
  alt: "alt",
  meta: "alt",
  m: "alt",
  shift: "shift",
  s: "shift",
};
const SYNONYMS: Readonly<Record<string, string>> = {
  return: "enter",
  escape: "esc",
  del: "delete",
  ins: "insert",
  pgup: "pageup",
  pgdn: "pagedown",
  pgdown: "pagedown",
};

/** As the parser of the input names it; undefined: no key that a terminal could send. */
export function normalized(text: string): string | undefined {
  const parts = /^(.+?[-+])*(.|[a-z]\w+)$/isu.test(text) ? text.split(/(?<=.)[-+](?=.)/u) : [];
  const last = parts.pop();
  if (last === undefined) return undefined;
  const held = parts.map((part) => MODIFIERS[part.toLowerCase()]);
  if (held.includes(undefined)) return undefined;
  const single = Array.from(last).length === 1;
  const lower = last.toLowerCase();
  const named = single ? (last === " " ? "space" : last) : (SYNONYMS[lower] ?? lower);
  if (!single && !NAMED.has(named)) return undefined;
  const has = (modifier: string) => held.includes(modifier);
  if (single && named !== "space") {
    // A terminal sends the letter itself, and one byte for all of ctrl-a and ctrl-A.
    if (has("shift")) return held.length === 1 ? named.toUpperCase() : undefined;
    if (has("ctrl") && !/^[a-z@[\\\]^_]$/i.test(named)) return undefined;
  }
  const base = has("ctrl") ? named.toLowerCase() : named;
  const name = `${has("alt") ? "alt-" : ""}${has("ctrl") ? "ctrl-" : ""}${has("shift") ? "shift-" : ""}${base}`;
  // What is one byte with another key of the keyboard.
  const same: Readonly<Record<string, string>> = {
    "ctrl-i": "tab",
    "ctrl-m": "enter",
    "ctrl-[": "esc",
    "ctrl-@": "ctrl-space",
  };
  return same[name] ?? name;
}

const SHOWN: Readonly<Record<string, string>> = {
  up: "↑",
  down: "↓",
  left: "←",
  right: "→",
  enter: "⏎",
  pageup: "pgup",
  pagedown: "pgdn",
};

/** For the footer and the help. */
export const keyShown = (key: string): string => SHOWN[key] ?? key;
