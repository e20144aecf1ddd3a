/** OpenSSH's known hosts: who a host is, by the key that it shows. */
import { createHash, createHmac } from "node:crypto";
import { readFileSync } from "node:fs";

import { hostKeyChanged, hostKeyRevoked, hostUnknown, type LivedevError } from "../lib/errors.ts";
import type { Hop } from "./hops.ts";

type Line = {
  readonly file: string;
  readonly line: number;
  readonly marker: string | undefined;
  readonly type: string;
  readonly key: Buffer;
};

/** Undefined: it is who it says it is. */
export function checkHostKey(hop: Hop, key: Buffer): LivedevError | undefined {
  const lines = linesFor(hop);
  if (lines.some((line) => line.marker === "@revoked" && line.key.equals(key)))
    return hostKeyRevoked(hop.name, fingerprint(key));
  const known = lines.filter(({ marker }) => marker === undefined);
  if (known.some((line) => line.key.equals(key))) return undefined;
  const [first] = known;
  const shown = { name: hop.name, host: hop.alias ?? hop.host, port: hop.port };
  if (first === undefined) return hostUnknown(shown, fingerprint(key), hop.knownHosts[0] ?? "");
  return hostKeyChanged(
    shown,
    fingerprint(key),
    known.map((line) => fingerprint(line.key)),
    { file: first.file, line: first.line },
  );
}

/** So that the host is asked for a key that can be compared. */
export function knownKeyTypes(hop: Hop): ReadonlySet<string> {
  return new Set(linesFor(hop).flatMap(({ marker, type }) => (marker === undefined ? [type] : [])));
}

/** As `ssh-keygen -l` prints it. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

function linesFor(hop: Hop): Line[] {
  // Behind a command or an alias a host has no address of its own to be known by.
  const name = (hop.alias ?? hop.host).toLowerCase();
  const written = hop.port === 22 || hop.alias !== undefined ? name : `[${name}]:${hop.port}`;
  return hop.knownHosts.flatMap((file) => read(file).filter(({ hosts }) => names(hosts, written)));
}

function read(file: string): (Line & { readonly hosts: string })[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((whole, index) => {
    const fields = whole.trim().split(/\s+/);
    const marker = fields[0]?.startsWith("@") === true ? fields.shift() : undefined;
    const [hosts, type, key] = fields;
    if (hosts === undefined || hosts.startsWith("#") || type === undefined || key === undefined) return [];
    return [{ file, line: index + 1, marker, hosts, type, key: Buffer.from(key, "base64") }];
  });
}

/** Hashed, or a list of patterns of which one that begins with `!` takes the host out. */
function names(hosts: string, written: string): boolean {
  if (hosts.startsWith("|1|")) {
    const [, , salt = "", hash = ""] = hosts.split("|");
    const own = createHmac("sha1", Buffer.from(salt, "base64")).update(written).digest("base64");
    return own === hash;
  }
  const patterns = hosts.toLowerCase().split(",");
  const matches = (pattern: string) => matcher(pattern).test(written);
  if (patterns.some((pattern) => pattern.startsWith("!") && matches(pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith("!") && matches(pattern));
}

function matcher(pattern: string): RegExp {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}
