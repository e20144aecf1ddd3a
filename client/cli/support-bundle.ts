/**
 * What a maintainer needs to see of a machine that they cannot see: findings, status, the end of the daemon's log,
 * the last events. No payload, no line that a function printed, nothing that looks like a credential; home and user
 * are taken out of paths. Gzipped JSON, so that who sends it can read it first.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { arch, homedir, platform, release, totalmem, userInfo } from "node:os";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";

import type { RecordedEvent } from "../../proto/events.ts";
import { isSensitiveName, redact, SEALED } from "../../proto/redact.ts";
import type { Finding } from "../../proto/rpc.ts";

import type { LivedevClient } from "../client.ts";
import type { Place } from "../discovery.ts";
import { errorBody } from "./cli.ts";
import { fileUnwritable, messageOf } from "../errors.ts";
import { VERSION } from "../programs.ts";
import { parseEntry } from "./daemon-line.ts";
import { FileTail } from "./file-tail.ts";

const LOG_LINES = 2_000;
const EVENTS = 2_000;

export async function writeBundle(options: {
  readonly file: string;
  readonly findings: readonly Finding[];
  readonly place: Place | undefined;
  readonly client: LivedevClient | undefined;
}): Promise<string> {
  const { findings, place, client } = options;
  const bundle = {
    createdAt: new Date().toISOString(),
    livedev: VERSION,
    node: process.version,
    system: { platform: platform(), release: release(), arch: arch(), memoryBytes: totalmem() },
    findings,
    status: client && (await orError(client.call("daemon.status", {}))),
    events: client && (await orError(lastEvents(client))),
    daemonLog: place && lastLines(place.logFile),
  };
  const text = JSON.stringify(anonymous(bundle), undefined, 1);
  const file = resolve(options.file);
  try {
    rmSync(file, { force: true });
    // `wx`: never through a link that another user put there.
    writeFileSync(file, gzipSync(text), { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw fileUnwritable(file, messageOf(error));
  }
  return file;
}

/** A bundle of a daemon that half answers is worth more than none. */
function orError(answer: Promise<unknown>): Promise<unknown> {
  return answer.catch((error: unknown) => ({ error: errorBody(error) }));
}

async function lastEvents(client: LivedevClient): Promise<unknown[]> {
  const { cursor } = await client.call("event.list", { types: [], limit: 1 });
  const after = Math.max(0, cursor.seq - EVENTS);
  const { events } = await client.call("event.list", { after, limit: EVENTS });
  return events.map(withoutText);
}

/** What a function printed or threw is the user's, and may hold anything. */
function withoutText({ seq, at, event }: RecordedEvent): unknown {
  const kept = Object.entries(event).map(([name, value]): [string, unknown] =>
    ["text", "errorMessage", "lineText"].includes(name)
      ? [name, `(${String(value).length} characters)`]
      : [name, value],
  );
  return { seq, at, event: Object.fromEntries(kept) };
}

function lastLines(file: string): unknown[] {
  if (!existsSync(file)) return [];
  const lines: string[] = [];
  const tail = new FileTail(file, (line) => {
    lines.push(line);
    if (lines.length > 2 * LOG_LINES) lines.splice(0, lines.length - LOG_LINES);
  });
  tail.read();
  tail.close();
  return lines.slice(-LOG_LINES).map((line) => parseEntry(line) ?? line);
}

/** Values by their name and by their look, through all of it. */
function anonymous(value: unknown, name = ""): unknown {
  if (isSensitiveName(name) && value !== null && typeof value !== "boolean") return SEALED;
  if (typeof value === "string") return withoutUser(redact(value));
  if (Array.isArray(value)) return value.map((one) => anonymous(one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, anonymous(one, key)]));
}

const HOME = homedir();
const USER = userName();

function withoutUser(text: string): string {
  const short = HOME.length > 1 ? text.replaceAll(HOME, "~") : text;
  // Shorter names stand in too many words.
  return USER.length > 3 ? short.replaceAll(USER, "user") : short;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "";
  }
}
