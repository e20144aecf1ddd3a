/** What OpenSSH's client config says of a host. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";

import { parse } from "ssh-config";

import { codeOf, tunnelFileUnsafe } from "../lib/errors.ts";
import type { Machine } from "./hops.ts";

export type HostConfig = {
  readonly hostName?: string;
  readonly port?: number;
  readonly user?: string;
  readonly identityFiles?: readonly string[];
  readonly identityAgent?: string;
  readonly userKnownHostsFiles?: readonly string[];
  readonly globalKnownHostsFiles?: readonly string[];
  readonly hostKeyAlias?: string;
  readonly proxyJump?: string;
  readonly proxyCommand?: string;
};

const MOST_INCLUDES = 16;

export class SshConfig {
  readonly #file: ReturnType<typeof parse>;

  private constructor(file: ReturnType<typeof parse>) {
    this.#file = file;
  }

  /** @throws LivedevError where the user's own could have been written by somebody else: it names commands. */
  static read(machine: Machine): SshConfig {
    const own = join(machine.home, ".ssh", "config");
    const text = [
      included(own, { folder: join(machine.home, ".ssh"), home: machine.home, depth: 0, guarded: true }),
      included("/etc/ssh/ssh_config", { folder: "/etc/ssh", home: machine.home, depth: 0, guarded: false }),
    ].join("\n");
    return new SshConfig(parse(text));
  }

  of(host: string, user: string | undefined): HostConfig {
    const found = this.#file.compute(user === undefined ? { Host: host } : { Host: host, User: user }, {
      ignoreCase: true,
    });
    const all = new Map(Object.entries(found).map(([name, value]) => [name.toLowerCase(), value]));
    const one = (name: string) => [all.get(name) ?? []].flat()[0];
    const files = (name: string) => [all.get(name) ?? []].flat().flatMap((value) => value.split(/\s+/));
    const words = <Key extends string>(key: Key, value: string | undefined) =>
      value === undefined ? {} : ({ [key]: value } as { [K in Key]: string });
    const lists = <Key extends string>(key: Key, value: readonly string[]) =>
      value.length === 0 ? {} : ({ [key]: value } as { [K in Key]: readonly string[] });
    const port = one("port");
    return {
      ...words("hostName", one("hostname")),
      ...words("user", one("user")),
      ...words("identityAgent", one("identityagent")),
      ...words("hostKeyAlias", one("hostkeyalias")),
      ...words("proxyJump", one("proxyjump")),
      ...words("proxyCommand", [all.get("proxycommand") ?? []].flat().join(" ") || undefined),
      ...(port !== undefined && { port: Number(port) }),
      ...lists("identityFiles", [all.get("identityfile") ?? []].flat()),
      ...lists("userKnownHostsFiles", files("userknownhostsfile")),
      ...lists("globalKnownHostsFiles", files("globalknownhostsfile")),
    };
  }
}

type Including = {
  /** What names without a folder are relative to. */
  readonly folder: string;
  readonly home: string;
  readonly depth: number;
  readonly guarded: boolean;
};

/** The file's text, with the files that it includes in their places. */
function included(file: string, including: Including): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "EACCES") return "";
    throw error;
  }
  if (including.guarded) {
    const { mode, uid } = statSync(file);
    const ours = uid === 0 || uid === process.getuid?.();
    if (!ours || (mode & 0o022) !== 0)
      throw tunnelFileUnsafe(file, "others may write to it", `chmod 600 ${file}`);
  }
  if (including.depth > MOST_INCLUDES) return "";
  return text
    .split("\n")
    .map((line) => {
      const [, names] = /^\s*Include(?:\s+|\s*=\s*)(.+?)\s*$/i.exec(line) ?? [];
      if (names === undefined) return line;
      return [...names.matchAll(/"([^"]+)"|(\S+)/g)]
        .flatMap(([, quoted, plain]) => matching(quoted ?? plain ?? "", including))
        .map((one) => included(one, { ...including, depth: including.depth + 1 }))
        .join("\n");
    })
    .join("\n");
}

/** `*` and `?` in the last part of the path, which is where they are used. */
function matching(pattern: string, { folder, home }: Including): string[] {
  const path = pattern.startsWith("~/") ? join(home, pattern.slice(2)) : pattern;
  const whole = isAbsolute(path) ? path : join(folder, path);
  if (!/[*?]/.test(whole)) return [whole];
  const names = new RegExp(
    `^${basename(whole)
      .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
      .replaceAll("*", ".*")
      .replaceAll("?", ".")}$`,
  );
  try {
    return readdirSync(dirname(whole))
      .filter((name) => names.test(name) && !name.startsWith("."))
      .sort()
      .map((name) => join(dirname(whole), name));
  } catch {
    return [];
  }
}
