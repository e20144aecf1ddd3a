/**
 * A laptop, a bastion and a private subnet, as network namespaces with a router between the first two:
 *
 *     laptop 198.51.100.2 ── router ── 203.0.113.10 bastion 10.77.0.10 ── 10.77.0.20 inside
 *
 * Real programs run in them: OpenSSH's sshd on the bastion, databases inside. Only the bastion reaches the inside, and
 * knows the names there (`*.corp.internal`).
 */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

const SSHD = "/usr/sbin/sshd";

/** Why there can be no namespaces here; never where nothing may be skipped. */
export const netMissing: string | false =
  process.env["LIVEDEV_NO_SKIP"] === "1"
    ? false
    : process.platform !== "linux" || process.getuid?.() !== 0
      ? "network namespaces are made by root on Linux alone"
      : !existsSync(SSHD) || !existsSync("/usr/sbin/ip")
        ? "OpenSSH's server or iproute2 is not installed: run `source scripts/parts.sh`"
        : false;

export const LAPTOP = "198.51.100.2";
export const BASTION = "203.0.113.10";
export const BASTION_INSIDE = "10.77.0.10";
export const INSIDE = "10.77.0.20";
export const RANGE = "10.77.0.0/24";

export type Place = "laptop" | "router" | "bastion" | "inside";

export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

let count = 0;

export class Net implements AsyncDisposable {
  readonly folder: string;
  readonly #name: string;
  readonly #children = new Set<ChildProcess>();
  readonly #scratch: string[] = [];
  #sshd: ChildProcess | undefined;
  #sshdConfig: Record<string, string> = {};

  private constructor() {
    count += 1;
    this.#name = `ld${process.pid}-${count}`;
    this.folder = mkdtempSync(join(tmpdir(), "livedev-net-"));
    chmodSync(this.folder, 0o755);
  }

  static async open(): Promise<Net> {
    const net = new Net();
    try {
      net.#make();
      net.makeHostKey();
      for (const name of ["ann", "bob"])
        ssh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", net.file(name));
      net.authorize(["ann"]);
      await net.startSshd();
      return net;
    } catch (error) {
      await net[Symbol.asyncDispose]();
      throw error;
    }
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  /** For data that databases write at their start: on a busy machine's disk that takes ten times as long. */
  scratch(name: string): string {
    const folder = mkdtempSync(
      join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), `${this.#name}-${name}-`),
    );
    this.#scratch.push(folder);
    return folder;
  }

  space(place: Place): string {
    return `${this.#name}-${place}`;
  }

  /** The words before a command that is to run there. */
  inside(place: Place): readonly string[] {
    return ["ip", "netns", "exec", this.space(place)];
  }

  run(place: Place, command: readonly string[], options: { env?: NodeJS.ProcessEnv } = {}): string {
    const [file = "", ...args] = [...this.inside(place), ...command];
    return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options });
  }

  /** As run(), while this process goes on. */
  async finished(place: Place, command: readonly string[]): Promise<Finished> {
    const child = this.start(place, command);
    let [stdout, stderr] = ["", ""];
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, stdout, stderr };
  }

  /** Ends with the namespaces at the latest. */
  start(place: Place, command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [file = "", ...args] = [...this.inside(place), ...command];
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/", ...options });
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** When what it prints says so. */
  async started(
    place: Place,
    command: readonly string[],
    until: RegExp,
    options: SpawnOptions = {},
  ): Promise<ChildProcess> {
    const child = this.start(place, command, options);
    let said = "";
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          said += text;
          if (until.test(said)) resolve();
        });
      }
      child.once("error", reject).once("exit", () => reject(new Error(`${command.join(" ")}: ${said}`)));
    });
    return child;
  }

  /** A server of this process whose address is of that place: a child there listens, and hands the socket over. */
  async listen(place: Place, host = "127.0.0.1", port = 0): Promise<Server> {
    const program = `
      const server = require("node:net").createServer();
      server.listen(${port}, "${host}", () => process.send("listening", server, () => process.exit()));`;
    const child = this.start(place, [process.execPath, "-e", program], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const [, server] = (await once(child, "message")) as [string, Server];
    return server;
  }

  // ---- the bastion's sshd

  /** Another identity of the host. */
  makeHostKey(): void {
    rmSync(this.file("host"), { force: true });
    rmSync(this.file("host.pub"), { force: true });
    ssh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", this.file("host"));
  }

  /** What ~/.ssh/known_hosts has of it. */
  knownHost(name = BASTION): string {
    const [type, key] = readFileSync(this.file("host.pub"), "utf8").split(" ");
    return `${name} ${type} ${key}\n`;
  }

  /** `options` of authorized_keys, for each. */
  authorize(names: readonly string[], options = ""): void {
    const lines = names.map(
      (name) => `${options}${options === "" ? "" : " "}${readFileSync(this.file(`${name}.pub`), "utf8")}`,
    );
    writeFileSync(this.file("authorized_keys"), lines.join(""));
    chmodSync(this.file("authorized_keys"), 0o644);
  }

  async startSshd(more: Record<string, string> = this.#sshdConfig): Promise<void> {
    this.#sshdConfig = more;
    mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    const config = {
      ListenAddress: "0.0.0.0",
      HostKey: this.file("host"),
      AuthorizedKeysFile: this.file("authorized_keys"),
      PidFile: this.file("sshd.pid"),
      StrictModes: "no",
      PermitRootLogin: "prohibit-password",
      PasswordAuthentication: "no",
      KbdInteractiveAuthentication: "no",
      UsePAM: "no",
      AllowTcpForwarding: "yes",
      GatewayPorts: "clientspecified",
      MaxSessions: "50",
      MaxStartups: "100",
      // Not what this machine's user has for their shells.
      SetEnv: `HOME=${this.folder}`,
      ...more,
    };
    writeFileSync(
      this.file("sshd_config"),
      Object.entries(config)
        .map(([name, value]) => `${name} ${value}\n`)
        .join(""),
    );
    this.#sshd = await this.started(
      "bastion",
      [SSHD, "-D", "-e", "-f", this.file("sshd_config")],
      /listening on/i,
    );
  }

  /** The one that listens; those that serve connections go too, as with a host that restarts. */
  async stopSshd(): Promise<void> {
    const sshd = this.#sshd;
    this.#sshd = undefined;
    if (sshd === undefined) return;
    sshd.kill("SIGKILL");
    await once(sshd, "exit");
    for (const pid of this.sshdPids()) kill(pid);
    while (this.sshdPids().length > 0) await wait(5);
  }

  /** Of this bastion, whatever they serve. */
  sshdPids(): number[] {
    const pids = this.#ip("netns", "pids", this.space("bastion"))
      .trim()
      .split("\n")
      .filter(Boolean)
      .map(Number);
    return pids.filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("sshd");
      } catch {
        return false;
      }
    });
  }

  /** When those that serve a connection now have ended. */
  async unserved(): Promise<void> {
    const serving = this.sshdPids().filter((pid) => pid !== this.#sshd?.pid);
    while (serving.some((pid) => existsSync(`/proc/${pid}`))) await wait(20);
  }

  // ---- what goes wrong

  /** Nothing passes the router, and nobody is told. */
  drop(on: boolean): void {
    this.run("router", ["sysctl", "-qw", `net.ipv4.ip_forward=${on ? 0 : 1}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const place of ["laptop", "router", "bastion", "inside"] as const) {
      try {
        for (const pid of this.#ip("netns", "pids", this.space(place)).trim().split("\n").filter(Boolean))
          kill(Number(pid));
        this.#ip("netns", "del", this.space(place));
      } catch {
        // It was never made.
      }
      rmSync(join("/etc/netns", this.space(place)), { recursive: true, force: true });
    }
    for (const folder of this.#scratch) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #make(): void {
    const hosts = `127.0.0.1 localhost\n${INSIDE} db.corp.internal cache.corp.internal api.corp.internal\n169.254.169.254 metadata.corp.internal\n${LAPTOP} laptop.corp.internal\n`;
    for (const [place, text] of [
      ["laptop", "127.0.0.1 localhost\n"],
      ["bastion", hosts],
      ["inside", hosts],
    ] as const) {
      const folder = join("/etc/netns", this.space(place));
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "hosts"), text);
      writeFileSync(join(folder, "resolv.conf"), "");
      writeFileSync(join(folder, "nsswitch.conf"), "passwd: files\ngroup: files\nhosts: files\n");
    }
    for (const place of ["laptop", "router", "bastion", "inside"] as const) {
      this.#ip("netns", "add", this.space(place));
      this.#ip("-n", this.space(place), "link", "set", "lo", "up");
    }
    this.#join("laptop", "out", `${LAPTOP}/24`, "router", "near", "198.51.100.1/24");
    this.#join("bastion", "out", `${BASTION}/24`, "router", "far", "203.0.113.1/24");
    this.#join("bastion", "in", `${BASTION_INSIDE}/24`, "inside", "out", `${INSIDE}/24`);
    this.#ip("-n", this.space("laptop"), "route", "add", "default", "via", "198.51.100.1");
    this.#ip("-n", this.space("bastion"), "route", "add", "default", "via", "203.0.113.1");
    this.run("router", ["sysctl", "-qw", "net.ipv4.ip_forward=1"]);
  }

  #join(
    one: Place,
    oneLink: string,
    oneAddress: string,
    two: Place,
    twoLink: string,
    twoAddress: string,
  ): void {
    const [left, right] = [this.space(one), this.space(two)];
    this.#ip("link", "add", oneLink, "netns", left, "type", "veth", "peer", "name", twoLink, "netns", right);
    for (const [space, link, address] of [
      [left, oneLink, oneAddress],
      [right, twoLink, twoAddress],
    ] as const) {
      this.#ip("-n", space, "addr", "add", address, "dev", link);
      this.#ip("-n", space, "link", "set", link, "up");
    }
  }

  #ip(...args: readonly string[]): string {
    return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  }
}

function ssh(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: "pipe" });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone.
  }
}
