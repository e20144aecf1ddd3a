/** F20: daemon and client of different versions, as after an update of the package. */
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

import t from "tap";

import { RPC_PROTOCOL } from "../../proto/version.ts";
import { some } from "../support/counts.ts";
import { ROOT, Rig, type Finished } from "../support/rig.ts";
import { FILES } from "./support.ts";

/** The package as it stands, of another version, perhaps of another protocol, elsewhere. */
function packageOf(
  rig: Rig,
  version: string,
  protocol: number,
): (name: string, ...args: string[]) => Promise<Finished> {
  const folder = join(rig.root, `package-${version}`);
  mkdirSync(folder);
  cpSync(join(ROOT, "dist"), join(folder, "dist"), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as object;
  writeFileSync(join(folder, "package.json"), JSON.stringify({ ...manifest, version }));
  for (const name of readdirSync(join(folder, "dist"))) {
    if (!name.endsWith(".js")) continue;
    const file = join(folder, "dist", name);
    const text = readFileSync(file, "utf8");
    const other = text.replaceAll(`RPC_PROTOCOL = ${RPC_PROTOCOL};`, `RPC_PROTOCOL = ${protocol};`);
    if (other !== text) writeFileSync(file, other);
  }
  return (name, ...args) => rig.run(relative(join(ROOT, "dist"), join(folder, "dist", name)), args);
}

const rig = Rig.open({ files: FILES });
t.teardown(() => rig[Symbol.asyncDispose]());
const client = await rig.connect();
const ECHO = ["livedev.js", "invoke", "Echo", "--local", "--event", "1"] as const;

const others = [
  ["newer", RPC_PROTOCOL + 1],
  ["older", RPC_PROTOCOL - 1],
  ["unknown", 4_000],
] as const;
for (const [what, protocol] of some(others)) {
  t.test(
    `F20: a client of ${what} protocol is refused with one sentence and the command that mends it`,
    async (t) => {
      const pid = rig.daemonPid();
      const other = packageOf(rig, `9.9.${protocol}`, protocol);
      const { code, stdout, stderr } = await other(...ECHO);
      t.equal(code, 1);
      t.equal(stdout, "");
      t.match(
        stderr,
        new RegExp(`speaks control protocol ${RPC_PROTOCOL}, this client 9.9.${protocol} speaks ${protocol}`),
      );
      t.match(stderr, /livedevd restart/);
      t.ok(stderr.trim().split("\n").length <= 2, "a sentence and the command");
      t.equal(rig.daemonPid(), pid);
      t.same(await client.call("invocation.list", {}), [], "nothing ran");
    },
  );
}

t.test(
  "F20: a newer client of the same protocol works, and says in one sentence how to update the daemon",
  async (t) => {
    await client.close();
    const newer = packageOf(rig, "9.9.9", RPC_PROTOCOL);
    for (const [program, ...args] of [["livedev.js", "status"], ECHO] as const) {
      const { code, stdout, stderr } = await newer(program, ...args);
      t.equal(code, 0);
      t.not(stdout, "");
      t.match(
        stderr,
        /^livedevd \S+ is running, this is livedev 9\.9\.9: `livedevd restart` makes them one\.\n$/,
      );
    }
    t.equal((await newer("livedevd.js", "restart")).code, 0);
    const after = await newer("livedev.js", "status");
    t.equal(after.stderr, "");
    t.match(after.stdout, /livedev 9\.9\.9/);
  },
);

t.test("F20: livedevd restart makes the daemon one with a client of another protocol", async (t) => {
  const other = packageOf(rig, "9.10.0", RPC_PROTOCOL + 1);
  t.equal((await other(...ECHO)).code, 1);
  t.equal((await other("livedevd.js", "restart")).code, 0);
  t.equal((await other(...ECHO)).stdout.trim(), "1");
  t.equal((await other("livedevd.js", "stop")).code, 0);
});

t.test("a profile or region that differs is refused with both named, where the app is AWS's", async (t) => {
  await using rig = Rig.open({
    files: {
      ...FILES,
      // An endpoint on this machine, which nothing asks until somebody goes live.
      "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "faults", home: "aws", providers: { aws: { region: "eu-west-1" } } }),
  async run() {
    new aws.Function("Echo", { handler: "src/echo.handler" });
  },
});
`,
    },
  });
  rig.env["AWS_PROFILE"] = "work";
  rig.env["AWS_REGION"] = "eu-west-1";
  const invoke = () => rig.livedev("invoke", "Echo", "--local", "--event", "1");
  t.equal((await invoke()).stdout.trim(), "1");
  rig.env["AWS_PROFILE"] = "private";
  const profile = await invoke();
  t.equal(profile.code, 1);
  t.match(profile.stderr, "livedevd runs with AWS_PROFILE=work, this client with AWS_PROFILE=private.");
  t.match(profile.stderr, "livedevd restart");
  delete rig.env["AWS_PROFILE"];
  await t.rejects(rig.connect(), { message: /this client with AWS_PROFILE=\(not set\)\./ });
  rig.env["AWS_PROFILE"] = "work";
  rig.env["AWS_REGION"] = "us-east-1";
  await t.rejects(rig.connect(), {
    message: "livedevd runs with AWS_REGION=eu-west-1, this client with AWS_REGION=us-east-1.",
  });
  t.equal((await rig.livedev("status")).code, 0, "who only looks is not refused");
  rig.env["AWS_REGION"] = "eu-west-1";
  await (await rig.connect()).close();
});
