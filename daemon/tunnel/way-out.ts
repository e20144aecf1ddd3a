/** Connections into the VPC, for whoever asks on this machine: where each goes, and whether it may. */
import { lookup } from "node:dns/promises";
import { isIP, isIPv4 } from "node:net";

import { isNever, isPrivate, isPrivateName, type Range } from "./ranges.ts";
import { ChannelError, type ClientChannel, type Ssh } from "./ssh.ts";
import { Names } from "./names.ts";

export type Reach = {
  readonly ranges: readonly Range[];
  /** Names that are asked of the bastion first. */
  readonly names: readonly string[];
};

export type Place = { readonly host: string; readonly port: number };

/** `elsewhere`: not behind the tunnel. */
export type Where =
  | { readonly is: "private"; readonly addresses: readonly string[] }
  | { readonly is: "elsewhere"; readonly addresses: readonly string[] };

export class WayOut {
  readonly #ssh: () => Promise<Ssh>;
  readonly #names: Names;
  #reach: Reach = { ranges: [], names: [] };
  #own: readonly Place[] = [];

  /** `ssh`: the connection that stands, or the next one. */
  constructor(ssh: () => Promise<Ssh>) {
    this.#ssh = ssh;
    this.#names = new Names(ssh);
  }

  /** `own`: ports of ours at the far end, which lead back here. */
  apply(reach: Reach, own: readonly Place[]): void {
    this.#reach = reach;
    this.#own = own;
  }

  /** @throws ChannelError */
  async where(host: string): Promise<Where> {
    const { ranges, names } = this.#reach;
    if (isIP(host) !== 0) {
      if (!isIPv4(host) || isNever(host)) throw refused(host);
      return { is: isPrivate(host, ranges) ? "private" : "elsewhere", addresses: [host] };
    }
    if (isPrivateName(host, names)) return { is: "private", addresses: await this.#names.find(host, ranges) };
    let addresses: string[];
    try {
      addresses = (await lookup(host, { all: true, family: 4 })).map(({ address }) => address);
    } catch {
      return { is: "private", addresses: await this.#names.find(host, ranges) };
    }
    const inside = addresses.filter((address) => isPrivate(address, ranges));
    if (inside.length > 0) return { is: "private", addresses: inside };
    const outside = addresses.filter((address) => !isNever(address));
    if (outside.length === 0) throw refused(host);
    return { is: "elsewhere", addresses: outside };
  }

  /** Private names alone: what the system itself finds, it need not be told here. @throws ChannelError */
  find(name: string): Promise<readonly string[]> {
    return this.#names.find(name, this.#reach.ranges);
  }

  /** To an address in the ranges; nothing else passes. @throws ChannelError */
  async dial(address: string, port: number): Promise<ClientChannel> {
    const own = this.#own.some((place) => place.port === port && place.host === address);
    if (!isPrivate(address, this.#reach.ranges) || own) throw refused(`${address}:${port}`);
    const ssh = await this.#ssh();
    return ssh.dial(address, port);
  }

  /** By name, the first address that answers. @throws ChannelError */
  async dialName(host: string, port: number): Promise<ClientChannel> {
    const where = await this.where(host);
    if (where.is === "elsewhere") throw refused(host);
    return this.dialFirst(where.addresses, port);
  }

  async dialFirst(addresses: readonly string[], port: number): Promise<ClientChannel> {
    let why: unknown;
    for (const address of addresses) {
      try {
        return await this.dial(address, port);
      } catch (error) {
        why = error;
      }
    }
    throw why;
  }
}

const refused = (what: string) =>
  new ChannelError(
    "EACCES",
    `connect EACCES ${what} (it is not in the VPC's ranges, and does not go through the tunnel)`,
  );
