/** A real sshd on this machine's loopback, for this user: who lets whom in, and knows whom. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import type { Machine } from "../../daemon/tunnel/hops.ts";

const SSHD = "/usr/sbin/sshd";

export const sshdMissing: string | false =
  existsSync(SSHD) || process.env["LIVEDEV_NO_SKIP"] === "1"
    ? false
    : "OpenSSH's server is not installed: run `source scripts/parts.sh`";

export class Sshd implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "livedev-sshd-"));
  readonly user = userInfo().username;
  port = 0;
  #child: ChildProcess | undefined;

  static async open(lines: Readonly<Record<string, string>> = {}): Promise<Sshd> {
    const sshd = new Sshd();
    for (const type of ["ed25519", "ecdsa"]) sshd.makeKey(`host_${type}`, type);
    sshd.makeKey("id");
    sshd.makeKey("locked", "ed25519", "a passphrase");
    sshd.authorize("id");
    await sshd.start(lines);
    return sshd;
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  makeKey(name: string, type = "ed25519", passphrase = ""): void {
    execFileSync("ssh-keygen", ["-q", "-t", type, "-N", passphrase, "-f", this.file(name)]);
  }

  publicKey(name: string): string {
    return readFileSync(this.file(`${name}.pub`), "utf8")
      .split(" ")
      .slice(0, 2)
      .join(" ");
  }

  fingerprint(name: string): string {
    return (
      execFileSync("ssh-keygen", ["-lf", this.file(`${name}.pub`)], { encoding: "utf8" }).split(" ")[1] ?? ""
    );
  }

  authorize(name: string, options = ""): void {
    writeFileSync(this.file("authorized_keys"), `${options} ${this.publicKey(name)}\n`.trimStart());
  }

  /** A home with this in its ~/.ssh. */
  machine(files: Readonly<Record<string, string>>, environment: Machine["environment"] = {}): Machine {
    const home = mkdtempSync(join(this.folder, "home-"));
    mkdirSync(join(home, ".ssh"), { mode: 0o700 });
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(home, ".ssh", name, ".."), { recursive: true });
      writeFileSync(join(home, ".ssh", name), text, { mode: 0o600 });
    }
    return { home, user: this.user, environment };
  }

  /** The line of known_hosts. */
  known(type = "ed25519", name = `[127.0.0.1]:${this.port}`): string {
    return `${name} ${this.publicKey(`host_${type}`)}\n`;
  }

  async start(lines: Readonly<Record<string, string>>): Promise<void> {
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, "127.0.0.1", resolve));
    this.port = (free.address() as AddressInfo).port;
    await new Promise((resolve) => free.close(resolve));
    const config = {
      ListenAddress: "127.0.0.1",
      Port: String(this.port),
      PidFile: "none",
      AuthorizedKeysFile: this.file("authorized_keys"),
      StrictModes: "no",
      PasswordAuthentication: "no",
      KbdInteractiveAuthentication: "no",
      UsePAM: "no",
      PermitRootLogin: "prohibit-password",
      GatewayPorts: "clientspecified",
      // Not what this machine's user has for their shells.
      SetEnv: `HOME=${this.folder}`,
      ...lines,
    };
    const text = ["ed25519", "ecdsa"].map((type) => `HostKey ${this.file(`host_${type}`)}\n`);
    for (const [name, value] of Object.entries(config)) text.push(`${name} ${value}\n`);
    writeFileSync(this.file("sshd_config"), text.join(""));
    const child = spawn(SSHD, ["-D", "-e", "-f", this.file("sshd_config")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (part: string) => {
        said += part;
        if (said.includes("Server listening")) resolve();
      });
      child.once("exit", () => reject(new Error(said)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
