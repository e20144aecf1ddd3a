/**
 * Private names: asked of the bastion, which stands where they are known. An address outside the VPC's ranges is none of
 * ours, whatever the name: a name must not be a way to the bastion's own neighbours.
 */
import { ChannelError, type Ssh } from "./ssh.ts";
import { isPrivate, type Range } from "./ranges.ts";

const KEPT_MS = 30_000;
const PATIENCE_MS = 5_000;
const MOST_KEPT = 1_000;

/** As DNS has them; nothing that a shell would take for more. */
const NAME = /^(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/;

export class Names {
  readonly #ssh: () => Promise<Ssh>;
  readonly #kept = new Map<string, { readonly at: number; readonly found: Promise<readonly string[]> }>();

  constructor(ssh: () => Promise<Ssh>) {
    this.#ssh = ssh;
  }

  /** Its addresses in the ranges. @throws ChannelError with code ENOTFOUND where there is none. */
  async find(name: string, ranges: readonly Range[]): Promise<readonly string[]> {
    const kept = this.#kept.get(name);
    const fresh = kept !== undefined && performance.now() - kept.at < KEPT_MS;
    const asking = fresh ? kept.found : this.#ask(name);
    const found = (await asking).filter((address) => isPrivate(address, ranges));
    if (found.length > 0) return found;
    throw new ChannelError("ENOTFOUND", `getaddrinfo ENOTFOUND ${name}`);
  }

  #ask(name: string): Promise<readonly string[]> {
    if (!NAME.test(name) || name.length > 253) return Promise.resolve([]);
    const found = ask(this.#ssh, name);
    this.#kept.set(name, { at: performance.now(), found });
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value as string);
    // What is not there now may be there in a moment.
    const forget = () => this.#kept.delete(name);
    found.then((addresses) => addresses.length === 0 && forget(), forget);
    return found;
  }
}

async function ask(ssh: () => Promise<Ssh>, name: string): Promise<readonly string[]> {
  const connection = await ssh();
  let channel;
  try {
    channel = await connection.run(`getent ahostsv4 ${name}`);
  } catch {
    return [];
  }
  let said = "";
  const closed = new Promise<void>((resolve) => {
    const late = setTimeout(() => channel.destroy(), PATIENCE_MS);
    channel.on("data", (text: Buffer) => (said += text.toString()));
    channel.stderr.resume();
    channel.on("close", () => {
      clearTimeout(late);
      resolve();
    });
  });
  await closed;
  const addresses = said.split("\n").map((line) => line.split(/\s+/)[0] ?? "");
  return [...new Set(addresses.filter((address) => address !== ""))];
}
