/** Which host is connected to, by whose key, and whether it is the one that it says: before a real sshd. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";

import t from "tap";

import { LivedevError } from "../../daemon/lib/errors.ts";
import { greetFarEnd } from "../../daemon/tunnel/far-end.ts";
import { hopsTo, type Machine } from "../../daemon/tunnel/hops.ts";
import { NATIVE, Ssh } from "../../daemon/tunnel/ssh.ts";
import type { WantedBastion } from "../../proto/app.ts";
import { Sshd, sshdMissing } from "./sshd.ts";

const wanted = (given: Partial<WantedBastion> & { host: string }): WantedBastion => ({
  ranges: [],
  names: [],
  listen: { first: 7400, last: 7499 },
  ...given,
});

/** Who we are at the other end. */
async function reach(given: Partial<WantedBastion> & { host: string }, machine: Machine): Promise<string> {
  await using ssh = await Ssh.open(hopsTo(wanted(given), machine), new AbortController().signal);
  const channel = await ssh.run("whoami");
  let said = "";
  for await (const part of channel) said += String(part);
  return said.trim();
}

async function refusal(
  given: Partial<WantedBastion> & { host: string },
  machine: Machine,
): Promise<LivedevError> {
  try {
    await reach(given, machine);
  } catch (error) {
    if (error instanceof LivedevError) return error;
    throw error;
  }
  throw new Error("it was let in");
}

t.test("the host, given", { skip: sshdMissing }, async (t) => {
  await using sshd = await Sshd.open();
  const { user, port } = sshd;
  const host = "127.0.0.1";
  const key = sshd.file("id");
  const given = { host, port, user, key };

  await t.test(
    "known hosts: plain, hashed, by pattern, by another type of key than it would choose",
    async (t) => {
      const plain = sshd.machine({ known_hosts: sshd.known() });
      t.equal(await reach(given, plain), user);
      const hashed = sshd.machine({
        known_hosts: `${sshd.known("ed25519", "other.example")}${sshd.known()}`,
      });
      execFileSync("ssh-keygen", ["-q", "-H", "-f", join(hashed.home, ".ssh", "known_hosts")], {
        stdio: "pipe",
      });
      t.equal(await reach(given, hashed), user);
      t.equal(
        await reach(given, sshd.machine({ known_hosts: sshd.known("ed25519", `[127.0.0.*]:${port}`) })),
        user,
      );
      t.equal(
        await reach(given, sshd.machine({ known_hosts: sshd.known("ecdsa") })),
        user,
        "it is asked for that one",
      );
    },
  );

  await t.test(
    "who is not known, has changed, or was revoked is refused with the fingerprints",
    async (t) => {
      const own = sshd.fingerprint("host_ed25519");
      const unknown = await refusal(
        given,
        sshd.machine({ known_hosts: sshd.known("ed25519", "other.example") }),
      );
      t.equal(unknown.code, "tunnel.hostUnknown");
      t.match(unknown.message, own);
      const negated = sshd.known("ed25519", `[127.0.0.*]:${port},![127.0.0.1]:${port}`);
      t.equal((await refusal(given, sshd.machine({ known_hosts: negated }))).code, "tunnel.hostUnknown");

      sshd.makeKey("before");
      const machine = sshd.machine({
        known_hosts: `# comment\n[127.0.0.1]:${port} ${sshd.publicKey("before")}\n`,
      });
      const changed = await refusal(given, machine);
      t.equal(changed.code, "tunnel.hostKeyChanged");
      t.match(changed.message, own, "the one that it shows");
      t.match(changed.message, sshd.fingerprint("before"), "the one that is known");
      t.match(changed.message, /known_hosts:2/);
      t.match(changed.hint, /ssh-keygen .* -R '\[127\.0\.0\.1\]:\d+'/);

      const revoked = sshd.machine({
        known_hosts: `@revoked * ${sshd.publicKey("host_ed25519")}\n${sshd.known()}`,
      });
      t.equal((await refusal(given, revoked)).code, "tunnel.hostKeyRevoked");
    },
  );

  await t.test("keys: ours alone, without a passphrase, or an agent's", async (t) => {
    const machine = sshd.machine({ known_hosts: sshd.known() });
    chmodSync(key, 0o644);
    const open = await refusal(given, machine);
    t.match(open, { code: "tunnel.fileUnsafe", hint: /chmod 600/ });
    chmodSync(key, 0o600);
    t.match(await refusal({ ...given, key: sshd.file("none") }, machine), { code: "tunnel.keyUnreadable" });
    const locked = { ...given, key: sshd.file("locked") };
    t.match(await refusal(locked, machine), { code: "tunnel.keyEncrypted", hint: /ssh-add/ });
    sshd.makeKey("stranger");
    const stranger = await refusal({ ...given, key: sshd.file("stranger") }, machine);
    t.match(stranger, { code: "tunnel.authFailed", message: /stranger/ });

    const agent = execFileSync("ssh-agent", ["-s", "-a", sshd.file("agent")], { encoding: "utf8" });
    const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(agent)?.[1]);
    t.teardown(() => process.kill(pid));
    const env = { ...process.env, SSH_AUTH_SOCK: sshd.file("agent") };
    execFileSync("ssh-add", ["-q", key], { env, stdio: "pipe" });
    t.equal(await reach({ host, port, user, agent: sshd.file("agent") }, machine), user);
    const withAgent = { ...machine, environment: { SSH_AUTH_SOCK: sshd.file("agent") } };
    t.equal(await reach({ host, port, user, agent: true }, withAgent), user);
    t.equal(await reach({ host, port, user }, withAgent), user, "where nothing is said, as OpenSSH");
    t.equal(
      await reach({ ...locked, agent: true }, withAgent),
      user,
      "the agent's counts where a file is locked",
    );
  });

  await t.test("~/.ssh/config: aliases, Include, Match, ProxyJump, ProxyCommand", async (t) => {
    await using jump = await Sshd.open();
    jump.authorize("id", "");
    const known = `${sshd.known()}${jump.known()}inner-name ${sshd.publicKey("host_ed25519")}\n`;
    const config = `
Include conf.d/*.conf
Host jump
  HostName 127.0.0.1
  Port ${jump.port}
  IdentityFile ${jump.file("id")}
Host jumped
  HostName 127.0.0.1
  Port ${port}
  ProxyJump jump
Host twice
  HostName 127.0.0.1
  Port ${port}
  ProxyJump jump,${user}@127.0.0.1:${port}
Host circle
  ProxyJump circle
Host command
  HostKeyAlias inner-name
  ProxyCommand socat - TCP:127.0.0.1:${port}
Match host jumped,twice,command,127.0.0.1
  IdentityFile "%d/.ssh/key of %r"
`;
    const machine = sshd.machine({
      known_hosts: known,
      config,
      "conf.d/10-first.conf": `Host shop\n  HostName 127.0.0.1\n  Port ${port}\n  User ${user}\n  IdentityFile ~/.ssh/id\n`,
    });
    for (const name of ["id", `key of ${user}`]) {
      const target = join(machine.home, ".ssh", name);
      execFileSync("cp", [key, target]);
      chmodSync(target, 0o600);
    }
    t.equal(await reach({ host: "shop" }, machine), user);
    t.equal(hopsTo(wanted({ host: "jumped" }), machine).length, 2);
    t.equal(await reach({ host: "jumped" }, machine), user);
    t.equal(hopsTo(wanted({ host: "twice" }), machine).length, 3);
    t.equal(await reach({ host: "twice" }, machine), user);
    t.equal(await reach({ host: "command" }, machine), user, "behind a command, known by its alias");
    t.match(await refusal({ host: "circle" }, machine), { code: "tunnel.proxyLoop" });
    // Each host on the way is checked, not the last alone.
    const half = sshd.machine({ known_hosts: sshd.known(), config });
    const unchecked = await refusal({ host: "jumped", user, key }, half);
    t.match(unchecked, { code: "tunnel.hostUnknown", message: jump.fingerprint("host_ed25519") });
    chmodSync(join(machine.home, ".ssh", "config"), 0o666);
    t.match(await refusal({ host: "shop" }, machine), { code: "tunnel.fileUnsafe" }, "it names commands");
  });

  await t.test("a bastion that gives no shell carries all the same", async (t) => {
    sshd.authorize("id", 'restrict,port-forwarding,permitlisten="127.0.0.1:7466",command="/bin/false"');
    const machine = sshd.machine({ known_hosts: sshd.known() });
    await using ssh = await Ssh.open(hopsTo(wanted(given), machine), new AbortController().signal);
    t.match(await greetFarEnd(ssh, undefined), { process: undefined, address: undefined, held: false });
    const server = createServer((socket) => socket.end("hello"));
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const channel = await ssh.dial(host, (server.address() as AddressInfo).port);
    let said = "";
    for await (const part of channel) said += String(part);
    t.equal(said, "hello");
    server.close();
    const accept = () => {};
    await ssh.listen(host, 7466, accept);
    await t.rejects(ssh.listen(host, 7467, accept), "only the permitted port");
    sshd.authorize("id");
  });

  await t.test("which ciphers do the work, and the faster one first", async (t) => {
    const machine = sshd.machine({ known_hosts: sshd.known() });
    await using ssh = await Ssh.open(hopsTo(wanted(given), machine), new AbortController().signal);
    t.equal(ssh.cipher, NATIVE ? "aes128-gcm@openssh.com" : "aes128-ctr");
    const program = `
      const dlopen = process.dlopen;
      process.dlopen = (module, file, ...rest) => {
        if (file.includes("sshcrypto")) throw new Error("not installed");
        return dlopen.call(process, module, file, ...rest);
      };
      const { Ssh, NATIVE } = await import("./daemon/tunnel/ssh.ts");
      const { hopsTo } = await import("./daemon/tunnel/hops.ts");
      const ssh = await Ssh.open(hopsTo(${JSON.stringify(wanted(given))}, ${JSON.stringify(machine)}), new AbortController().signal);
      console.log(NATIVE, ssh.cipher);
      await ssh[Symbol.asyncDispose]();`;
    const without = spawnSync(process.execPath, ["--import=tsx", "--input-type=module", "-e", program], {
      cwd: join(import.meta.dirname, "../.."),
      encoding: "utf8",
    });
    t.equal(without.stdout, "false aes128-ctr\n", without.stderr);
  });
});
