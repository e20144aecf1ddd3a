/** From what the config says of the host, and `~/.ssh/config`, to the hosts that are connected to, one after the other. */
import { homedir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";

import type { WantedBastion } from "../../proto/app.ts";
import { tunnelProxyLoop } from "../lib/errors.ts";
import { SshConfig, type HostConfig } from "./ssh-config.ts";

export type Hop = {
  /** As its user calls it. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Files of private keys; those that are not there are passed over where nobody named them. */
  readonly identities: readonly { readonly file: string; readonly named: boolean }[];
  /** The socket of an agent. */
  readonly agent: string | undefined;
  readonly knownHosts: readonly string[];
  /** Under which it stands in those. */
  readonly alias: string | undefined;
  /** How the first hop is reached where no plain connection does. */
  readonly proxyCommand: string | undefined;
};

const DEFAULT_IDENTITIES = ["id_ed25519", "id_ecdsa", "id_rsa"];
const MOST_JUMPS = 8;

export type Machine = {
  readonly home: string;
  readonly user: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

export const thisMachine = (): Machine => ({
  home: process.env["HOME"] ?? homedir(),
  user: userInfo().username,
  environment: process.env,
});

/** The last one is the bastion. @throws LivedevError */
export function hopsTo(bastion: WantedBastion, machine: Machine = thisMachine()): Hop[] {
  const config = SshConfig.read(machine);
  const { host, port, user, key, agent } = bastion;
  const found = config.of(host, user);
  const hop = hopOf(
    { name: host, ...(port !== undefined && { port }), ...(user !== undefined && { user }) },
    found,
    machine,
  );
  const own: Hop = {
    ...hop,
    // Named in the config, it is meant alone.
    ...(key !== undefined && { identities: [{ file: absolute(key, machine), named: true }] }),
    agent:
      typeof agent === "string"
        ? absolute(agent, machine)
        : agent === true || key === undefined
          ? hop.agent
          : undefined,
  };
  return [...jumps(found, config, machine, 0), own];
}

/** What decides whether we are let in, and by whom: when one of these changes, asking again may help. */
export function filesOf(bastion: WantedBastion, machine: Machine = thisMachine()): string[] {
  const config = join(machine.home, ".ssh", "config");
  try {
    const hops = hopsTo(bastion, machine);
    return [config, ...hops.flatMap((hop) => [...hop.identities.map(({ file }) => file), ...hop.knownHosts])];
  } catch {
    return [config];
  }
}

function jumps(found: HostConfig, config: SshConfig, machine: Machine, depth: number): Hop[] {
  const list = found.proxyJump;
  if (list === undefined || list === "none") return [];
  if (depth > MOST_JUMPS) throw tunnelProxyLoop(list);
  return list.split(",").flatMap((text, index) => {
    const place = parsed(text.trim());
    const its = config.of(place.name, place.user);
    // As OpenSSH: only the first of a list is reached by what stands of it in turn.
    const before = index === 0 ? jumps(its, config, machine, depth + 1) : [];
    return [...before, hopOf(place, its, machine)];
  });
}

type Place = { readonly name: string; readonly port?: number; readonly user?: string };

/** `user@host:port`, `ssh://user@host:port`, `[::1]:22`. */
function parsed(text: string): Place {
  const [, user, bracketed, plain, port] =
    /^(?:ssh:\/\/)?(?:([^@]+)@)?(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?\/?$/.exec(text) ?? [];
  return {
    name: bracketed ?? plain ?? text,
    ...(user !== undefined && { user }),
    ...(port !== undefined && { port: Number(port) }),
  };
}

function hopOf(place: Place, found: HostConfig, machine: Machine): Hop {
  const host = (found.hostName ?? place.name).replaceAll("%h", place.name);
  const port = place.port ?? found.port ?? 22;
  const user = place.user ?? found.user ?? machine.user;
  const tokens = { h: host, n: place.name, p: String(port), r: user, u: machine.user, d: machine.home };
  const expand = (text: string) =>
    text.replaceAll(/%([%hnprud])/g, (_, token: string) =>
      token === "%" ? "%" : (tokens[token as keyof typeof tokens] ?? ""),
    );
  const named = found.identityFiles?.map((file) => ({ file: absolute(expand(file), machine), named: true }));
  const usual = DEFAULT_IDENTITIES.map((file) => ({ file: join(machine.home, ".ssh", file), named: false }));
  const agent = found.identityAgent ?? "SSH_AUTH_SOCK";
  return {
    name: place.name,
    host,
    port,
    user,
    identities: named ?? usual,
    agent:
      agent === "none"
        ? undefined
        : agent === "SSH_AUTH_SOCK"
          ? machine.environment["SSH_AUTH_SOCK"]
          : absolute(expand(agent), machine),
    knownHosts: [
      ...(found.userKnownHostsFiles ?? ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]),
      ...(found.globalKnownHostsFiles ?? ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]),
    ].map((file) => absolute(expand(file), machine)),
    alias: found.hostKeyAlias,
    proxyCommand:
      found.proxyCommand === undefined || found.proxyCommand === "none"
        ? undefined
        : expand(found.proxyCommand),
  };
}

function absolute(file: string, { home }: Machine): string {
  if (file === "~" || file.startsWith("~/")) return join(home, file.slice(1));
  return isAbsolute(file) ? file : join(home, file);
}
