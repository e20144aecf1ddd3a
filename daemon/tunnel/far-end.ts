/**
 * What is asked of the far end's shell, in one command that then holds the line: the sshd of our last connection is
 * ended, since it still holds our port; who we are there and at which address we came in is told.
 *
 * An sshd whose client fell asleep or lost its network keeps its ports until TCP gives up, or until
 * ClientAliveInterval, which is off by default. It is ended only where it is the very process that we had: the same
 * boot, the same start, and still an sshd; the system lets us end processes of our own user alone.
 */
import type { ClientChannel, Ssh } from "./ssh.ts";

/** Which process of the far end served a connection of ours. */
export type FarProcess = { readonly pid: number; readonly identity: string };

export type FarEnd = {
  /** Undefined where the far end has no shell for us, or tells nothing of its processes. */
  readonly process: FarProcess | undefined;
  /** Of the host, as it saw us come in: behind EC2's address translation that is the private one. */
  readonly address: string | undefined;
  /** What came of the last connection's process. */
  readonly last: "ended" | "gone" | "notOurs" | undefined;
  /** A terminal there is held for as long as the connection lives: sshd then sends small packets at once. */
  readonly held: boolean;
};

const PATIENCE_MS = 5_000;

const NOTHING: FarEnd = { process: undefined, address: undefined, last: undefined, held: false };

export async function greetFarEnd(ssh: Ssh, last: FarProcess | undefined): Promise<FarEnd> {
  let channel: ClientChannel;
  try {
    channel = await ssh.run(command(last), true);
  } catch {
    // A forced command, no shell, no terminal: all else goes on without.
    return NOTHING;
  }
  return new Promise((resolve) => {
    let said = "";
    const over = (end: FarEnd) => {
      clearTimeout(late);
      resolve(end);
    };
    const late = setTimeout(() => over(NOTHING), PATIENCE_MS);
    channel.on("data", (text: Buffer) => {
      said = (said + text.toString()).slice(-4_096);
      const [, pid, identity, address, what] =
        /livedev (\d+) "([^"\r\n]*)" "([^"\r\n]*)" "([^"\r\n]*)"/.exec(said) ?? [];
      if (pid === undefined) return;
      over({
        process: identity === undefined || identity === "" ? undefined : { pid: Number(pid), identity },
        address: address === "" ? undefined : address,
        last: what === "" ? undefined : (what as FarEnd["last"]),
        held: true,
      });
    });
    channel.stderr.resume();
    channel.on("close", () => over(NOTHING));
    channel.on("error", () => over(NOTHING));
  });
}

/**
 * For the login shell, whichever that is: it hands the script to sh. `$PPID` is then the sshd that serves us. What is
 * put in here are a number and an identity of ours, which holds letters, digits and -:._ only.
 */
function command(last: FarProcess | undefined): string {
  const old = last !== undefined && isPlain(last) ? `${last.pid} '\\''${last.identity}'\\''` : "";
  const script = [
    `id() { case $(cat /proc/$1/comm 2>/dev/null) in sshd*) echo "$(cat /proc/sys/kernel/random/boot_id):$(sed "s/.*) //" /proc/$1/stat | cut -d" " -f20)";; esac; };`,
    // One that nobody has reaped is gone as well.
    `lives() { case $(sed "s/.*) //" /proc/$1/stat 2>/dev/null) in Z*|X*|"") return 1;; esac; };`,
    `old() { [ -n "$1" ] || return; lives $1 || { echo gone; return; };`,
    `[ "$(id $1)" = "$2" ] && [ "$1" != "$PPID" ] || { echo notOurs; return; };`,
    `kill $1 2>/dev/null || { echo notOurs; return; };`,
    `n=0; while lives $1 && [ $n -lt 40 ]; do sleep 0.05; n=$((n+1)); [ $n = 20 ] && kill -9 $1 2>/dev/null; done; echo ended; };`,
    `was=$(old ${old});`,
    `set -- $SSH_CONNECTION;`,
    String.raw`echo "livedev $PPID \"$(id $PPID)\" \"$3\" \"$was\"";`,
    `exec cat`,
  ].join(" ");
  return `exec sh -c '${script}'`;
}

const isPlain = ({ pid, identity }: FarProcess) => Number.isInteger(pid) && /^[\w:.-]+$/.test(identity);
