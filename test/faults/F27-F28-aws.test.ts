/**
 * AWS that throttles, refuses, goes away, and whose credentials end, in the middle of `livedev deploy`; and two who
 * want one stage. On moto, through a proxy that answers 429 above 15 calls a second (quick: in one test alone).
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import t, { type Test } from "tap";

import { Moto, motoMissing, type Call, type Refusal } from "../deploy/moto.ts";
import { times } from "../support/counts.ts";
import { Rig } from "../support/rig.ts";

// At few calls a second.
t.setTimeout(600_000);
if (motoMissing !== false) t.plan(0, motoMissing);
else {
  const callsPerSecond = times(15, Number.POSITIVE_INFINITY);
  const moto = await Moto.open(t, { callsPerSecond });
  t.afterEach(() => {
    moto.callsPerSecond = callsPerSecond;
    moto.refuse = () => undefined;
    moto.aheadMs = 0;
  });

  const keys = (word: string) => ({
    id: `AKIA${word.toUpperCase().padEnd(16, "X")}`,
    secret: `secret-of-${word}`,
    token: `token-of-${word}`,
  });

  const laptop = (stage: string, functions = 2) => {
    const rig = Rig.open({
      files: {
        "livedev.config.ts": `
          import { $config, aws } from "livedev";
          export default $config({
            app: () => ({ name: "shop", home: "aws", endpoint: "${moto.serving.endpoint}", profile: "work", removal: "remove" }),
            async run() {
              new aws.Bucket("Files");
              for (let n = 0; n < ${functions}; n += 1)
                new aws.Function(\`F\${n}\`, { handler: "src/api.handler", environment: { PASSWORD: "planted-password" } });
            },
          });`,
        "src/api.ts": "export const handler = async () => 1;",
        "../home/.aws/config": "[profile work]\nregion = us-east-1\n",
      },
    });
    rig.env["LIVEDEV_STAGE"] = stage;
    const signIn = (word: string) => {
      const { id, secret, token } = keys(word);
      rig.save(
        "../home/.aws/credentials",
        `[work]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\naws_session_token = ${token}\n`,
      );
    };
    signIn("first");
    return { rig, signIn };
  };

  /** From the call on that `when` tells, all of that one's answers. */
  const from = (when: (call: Call) => boolean, refusal: (call: Call) => Refusal | undefined) => {
    let began = false;
    moto.refuse = (call) => {
      began ||= when(call);
      return began ? refusal(call) : undefined;
    };
  };

  /** What AWS says of credentials that have ended, in each service's words. */
  const expired = ({ service }: Call): Refusal => ({
    status: 403,
    name: service === "lambda" ? "ExpiredTokenException" : "ExpiredToken",
    message: "The security token included in the request is expired",
  });

  const isCreate = ({ service, method, path }: Call) =>
    service === "lambda" && method === "POST" && /\/functions\/?$/.test(path);

  /** Everything of a stage that was begun is brought to its end, and then taken away. */
  const goesOn = async (t: Test, rig: Rig, before: unknown) => {
    const deployed = await rig.livedev("deploy");
    t.equal(deployed.code, 0, deployed.stderr);
    t.match((await rig.livedev("plan")).stdout, /Nothing to do/);
    const removed = await rig.livedev("remove", "--yes");
    t.equal(removed.code, 0, removed.stderr);
    t.same(await moto.dump(), before, "nothing of it is left");
  };

  /** What livedev wrote down, of which nothing may be a secret. */
  const written = (rig: Rig): string => {
    const folder = join(rig.project, ".livedev");
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith(".zip"))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
      .join("\n");
  };

  // A service of moto's is there once it was asked something.
  const first = laptop("first", 1);
  await first.rig.livedev("deploy");
  await first.rig.livedev("remove", "--yes");
  await first.rig[Symbol.asyncDispose]();
  const before = await moto.dump();

  void t.test("credentials that end in mid-deploy stop it; with fresh ones it goes on", async (t) => {
    const { rig, signIn } = laptop("expires");
    t.teardown(() => rig[Symbol.asyncDispose]());
    const { id } = keys("first");
    from(isCreate, (call) => (call.keyId === id ? expired(call) : undefined));
    const stopped = await rig.livedev("deploy");
    t.equal(stopped.code, 1);
    t.match(stopped.stderr, /AWS credentials of the profile work are absent or not valid: .*expired/);
    t.match(stopped.stderr, /Run `aws sso login --profile work`.* it goes on from where this one stopped/s);
    t.notSame(await moto.dump(), before, "something stands half done");
    const status = await rig.livedev("status");
    t.match(status.stdout, /credentials/);

    const again = await rig.livedev("deploy");
    t.equal(again.code, 1, "the old ones are not taken again");
    signIn("second");
    await goesOn(t, rig, before);
    const all = `${stopped.stdout}${stopped.stderr}${written(rig)}`;
    for (const word of ["first", "second"]) {
      const { secret, token } = keys(word);
      t.notMatch(all, new RegExp(`${secret}|${token}`), "no secret stands in a log");
    }
    t.notMatch(all.replaceAll(/environment.*planted-password/g, ""), /planted-password/);
  });

  void t.test("keys of the daemon's own environment are told as such", async (t) => {
    const { rig } = laptop("keys");
    t.teardown(() => rig[Symbol.asyncDispose]());
    rig.edit("livedev.config.ts", `profile: "work", `, "");
    Object.assign(rig.env, {
      AWS_ACCESS_KEY_ID: keys("first").id,
      AWS_SECRET_ACCESS_KEY: "x",
      AWS_REGION: "us-east-1",
    });
    from(isCreate, expired);
    const stopped = await rig.livedev("deploy");
    t.match(stopped.stderr, /livedevd was started with: set fresh ones .* `livedevd restart`/);
    Object.assign(rig.env, { AWS_ACCESS_KEY_ID: keys("second").id });
    from(
      () => true,
      (call) => (call.keyId === keys("first").id ? expired(call) : undefined),
    );
    t.equal((await rig.livedevd("stop")).code, 0);
    await goesOn(t, rig, before);
  });

  void t.test("a denial names the permission that is missing; what was done is kept", async (t) => {
    const { rig } = laptop("denied");
    t.teardown(() => rig[Symbol.asyncDispose]());
    from(isCreate, (call) =>
      isCreate(call)
        ? {
            status: 403,
            name: "AccessDeniedException",
            message: "User: arn:aws:iam::1:user/ann is not authorized to perform: lambda:CreateFunction",
          }
        : undefined,
    );
    const stopped = await rig.livedev("deploy");
    t.equal(stopped.code, 1);
    t.match(stopped.stderr, /AWS denies lambda:CreateFunction \(CreateFunction shop-denied-F\d\)/);
    t.match(stopped.stderr, /need the permission lambda:CreateFunction/);
    moto.refuse = () => undefined;
    await goesOn(t, rig, before);
  });

  void t.test(
    "AWS that throttles, and cannot be reached for a while, is waited for; no step is lost",
    async (t) => {
      const { rig } = laptop("cut");
      t.teardown(() => rig[Symbol.asyncDispose]());
      let left = 5;
      from(isCreate, () => ((left -= 1) >= 0 ? "cut" : undefined));
      moto.callsPerSecond = 15;
      const throttled = moto.throttled;
      await goesOn(t, rig, before);
      t.ok(left < 0, "connections were cut");
      t.ok(moto.throttled > throttled, `${moto.throttled - throttled} calls were answered 429`);
    },
  );

  void t.test("AWS that stays away stops it, named; later it goes on", async (t) => {
    const { rig } = laptop("away");
    t.teardown(() => rig[Symbol.asyncDispose]());
    from(isCreate, () => "cut");
    const stopped = await rig.livedev("deploy");
    t.equal(stopped.code, 1);
    t.match(stopped.stderr, new RegExp(`AWS cannot be reached at ${moto.serving.endpoint}`));
    moto.refuse = () => undefined;
    await goesOn(t, rig, before);
  });

  void t.test(
    "F28: of two who want a stage the second is told who has it; a dead one's lease ends",
    async (t) => {
      const ann = laptop("team", 1).rig;
      const bob = laptop("team", 1).rig;
      t.teardown(() => ann[Symbol.asyncDispose]());
      t.teardown(() => bob[Symbol.asyncDispose]());
      const started = await ann.livedevd("start");
      t.equal(started.code, 0, started.stderr);
      const held = /shop\/team is live on .+@.+ since 20\d\d-/;
      for (const refused of [
        await bob.livedevd("start"),
        await bob.livedev("deploy"),
        await bob.livedev("remove", "--yes"),
      ]) {
        t.equal(refused.code, 1);
        t.match(refused.stderr, held);
      }
      process.kill(ann.daemonPid(), "SIGKILL");
      t.match((await bob.livedevd("start")).stderr, held, "not at once");
      moto.aheadMs = 31_000;
      const taken = await bob.livedevd("start");
      t.equal(taken.code, 0, taken.stderr);
      moto.aheadMs = 0;
      t.match((await ann.livedevd("start")).stderr, held, "and now it is bob's");
      t.equal((await bob.livedev("remove", "--yes")).code, 0);
      t.same(await moto.dump(), before);
    },
  );

  void t.test("Ctrl-C in mid-deploy stops it between two steps, says so, and it goes on later", async (t) => {
    const { rig } = laptop("ctrl-c", 10);
    t.teardown(() => rig[Symbol.asyncDispose]());
    const child = rig.spawn("livedev.js", ["deploy"]);
    from(isCreate, () => {
      child.kill("SIGINT");
      return undefined;
    });
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    t.equal(code, 130);
    t.match(said, /The deployment stops between two steps; .*`livedev deploy` goes on from there/);
    // The next request of the same kind comes after it has stopped.
    moto.refuse = () => undefined;
    const { stdout } = await rig.livedev("plan");
    t.match(stdout, /\+ aws\.Function "F9"/, "the last one was not begun");
    await goesOn(t, rig, before);
  });

  void t.test("an app with another name leaves nothing behind unsaid", async (t) => {
    const { rig } = laptop("moves", 1);
    t.teardown(() => rig[Symbol.asyncDispose]());
    t.equal((await rig.livedev("deploy")).code, 0);
    rig.edit("livedev.config.ts", `name: "shop"`, `name: "store"`);
    const refused = await rig.livedev("deploy");
    t.equal(refused.code, 1);
    t.match(
      refused.stderr,
      /Nothing was changed: shop\/moves \(http.*\) still stands, and .* says store\/moves/,
    );
    t.match(refused.stderr, /`livedev remove` first/);
    rig.edit("livedev.config.ts", `name: "store"`, `name: "shop"`);
    t.equal((await rig.livedev("remove", "--yes")).code, 0);
    rig.edit("livedev.config.ts", `name: "shop"`, `name: "store"`);
    t.equal((await rig.livedev("deploy")).code, 0, "nothing stands under the old one");
    t.equal((await rig.livedev("remove", "--yes")).code, 0);
    t.same(await moto.dump(), before);
  });
}
