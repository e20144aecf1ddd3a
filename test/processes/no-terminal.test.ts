/** A machine without terminals, for a daemon at least: it says so where the process is looked at, and serves functions. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { realpathSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import type { ProcessStatus } from "../../proto/rpc.ts";
import { Rig, ROOT } from "../support/rig.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "bare", home: "local" }),
  async run() {
    new aws.Function("Hello", { handler: "src/hello.handler" });
    new DevCommand("Web", { dev: { command: "sleep 1000" } });
  },
});
`,
  "src/hello.ts": `export const handler = async () => "hello";`,
};

/** What is mounted there is mounted for the daemon alone. */
const APART = ["--user", "--map-root-user", "--mount", "sh", "-c"];
const skip =
  process.platform !== "linux"
    ? "mount namespaces are Linux's own"
    : spawnSync("unshare", [...APART, "mount --bind /dev/null /dev/ptmx"]).status !== 0 &&
      "this machine gives no namespaces";

t.test("no PTY, no library for one: the sentence says what to do, and functions run", { skip }, async (t) => {
  await using rig = Rig.open({ files: FILES });
  const lacking = async (mount: string): Promise<ProcessStatus> => {
    const start = spawn(
      "unshare",
      [...APART, `${mount} && exec "$0" "$@"`, process.execPath, join(ROOT, "dist/livedevd.js"), "start"],
      { cwd: rig.project, env: rig.env, stdio: ["ignore", "ignore", "inherit"] },
    );
    t.same(await once(start, "close"), [0, null]);
    const stopped = await rig.livedev("wait", "--for", "process:Web=stopped");
    t.equal(stopped.code, 0, stopped.stderr);
    t.equal((await rig.livedev("invoke", "Hello")).stdout, '"hello"\n');
    const { stdout } = await rig.livedev("ps", "--json");
    await rig.livedevd("stop");
    return JSON.parse(stdout) as ProcessStatus;
  };

  const library = join(realpathSync(join(ROOT, "node_modules")), "@lydell");
  const withoutLibrary = await lacking(`mount -t tmpfs none '${library}'`);
  t.match(withoutLibrary.why, /^livedevd has no terminals on this machine \(linux, \w+\).*node-pty/);
  t.match(withoutLibrary.why, "or start them yourself: `livedev dev -- <command>`");

  const withoutPty = await lacking(
    "mount --bind /dev/null /dev/ptmx && mount --bind /dev/null /dev/pts/ptmx",
  );
  t.match(withoutPty.why, /^The system gives no terminal \(PTY\) to run it in: forkpty\(3\) failed\./);
  t.match(withoutPty.why, "/dev/ptmx");
});
