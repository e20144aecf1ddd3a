/** The event of an invocation, as a user gives it: text, a file, or stdin. Its bytes are passed on as they are. */
import { readFileSync } from "node:fs";

import { eventNotJson, fileUnreadable, messageOf, oneEventOnly } from "../errors.ts";
import { readPiped, readStdin } from "./stdin.ts";

export type EventOptions = {
  readonly event?: string;
  readonly file?: string;
};

/** `undefined`: none was given. `-`, by itself or as the file, is stdin. */
export async function readEvent(options: EventOptions, positional?: string): Promise<string | undefined> {
  const given = [options.event, options.file, positional].filter((one) => one !== undefined);
  if (given.length > 1) throw oneEventOnly();
  const [text] = given;
  if (text === undefined) return undefined;
  if (options.event === undefined && text === "-") return checked(await readStdin(), "What came from stdin");
  if (options.file !== undefined) return checked(readFile(options.file), options.file);
  return checked(text, "The event");
}

/** What was piped in, where nothing else was given: dropping it would invoke with another event than was meant. */
export async function readPipedEvent(): Promise<string | undefined> {
  const text = await readPiped();
  return text === undefined ? undefined : checked(text, "What came from stdin");
}

export function checked(text: string, where: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch (error) {
    throw eventNotJson(where, text, messageOf(error).replaceAll(/\s+/g, " "));
  }
}

function readFile(file: string): string {
  try {
    return withoutMark(readFileSync(file, "utf8"));
  } catch (error) {
    throw fileUnreadable(file, error);
  }
}

/** Editors on Windows begin a file with it, and JSON may not. */
const withoutMark = (text: string): string => text.replace(/^\uFEFF/, "");
