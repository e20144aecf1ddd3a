import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import t from "tap";

import { Credentials } from "../../daemon/credentials/credentials.ts";
import { Functions } from "../../daemon/functions/functions.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { ROOT } from "../support/rig.ts";
import { wantedFunction } from "../support/wanted.ts";
import { ownFolder } from "../support/folder.ts";

const keys = (word: string, expires?: string) => ({
  AWS_REGION: "eu-west-1",
  AWS_ACCESS_KEY_ID: `ASIA${word}`,
  AWS_SECRET_ACCESS_KEY: `secret-${word}`,
  AWS_SESSION_TOKEN: `token-${word}`,
  ...(expires !== undefined && { AWS_CREDENTIAL_EXPIRATION: expires }),
});

t.test("the newest environment's credentials win, whichever one an event comes from", (t) => {
  const credentials = new Credentials();
  credentials.greeted({ functionName: "Api", sandbox: "old", environment: keys("OLD") });
  credentials.greeted({ functionName: "Api", sandbox: "new", environment: keys("NEW") });
  credentials.greeted({ functionName: "Api", sandbox: "old", environment: keys("OLD") });
  credentials.greeted({ functionName: "Other", sandbox: "other", environment: keys("OTHER") });
  t.match(credentials.freshest("Api", keys("OLD")), {
    AWS_ACCESS_KEY_ID: "ASIANEW",
    AWS_SECRET_ACCESS_KEY: "secret-NEW",
    AWS_SESSION_TOKEN: "token-NEW",
  });
  t.match(credentials.freshest("Api", {}), { AWS_ACCESS_KEY_ID: "ASIANEW" }, "also for a client's own event");
  t.match(credentials.freshest("Other", {}), { AWS_ACCESS_KEY_ID: "ASIAOTHER" }, "each function has its own");
  t.same(credentials.freshest("Unknown", { A: "1" }), { A: "1" });
  credentials.keepOnly(["Other"]);
  t.same(credentials.freshest("Api", {}), {});
  t.end();
});

t.test(
  "a program beside a function is given its own, and a stub is asked only where they are old",
  async (t) => {
    const credentials = new Credentials();
    let knocks = 0;
    const knock = (word: string, expires?: string) => async () => {
      knocks += 1;
      await Promise.resolve();
      credentials.greeted({ functionName: "Api", sandbox: word, environment: keys(word, expires) });
    };
    const [one, other] = await Promise.all([
      credentials.fresh("Api", knock("A")),
      credentials.fresh("Api", knock("A")),
    ]);
    t.match([one, other], [{ AWS_ACCESS_KEY_ID: "ASIAA" }, { AWS_ACCESS_KEY_ID: "ASIAA" }]);
    t.equal(knocks, 1, "one event serves all who ask at once");
    await credentials.fresh("Api", knock("B"));
    t.equal(knocks, 1, "and those who ask soon after");
    credentials.greeted({
      functionName: "Api",
      sandbox: "C",
      environment: keys("C", new Date(Date.now() + 60_000).toISOString()),
    });
    t.match(
      await credentials.fresh("Api", () => Promise.reject(new Error("away"))),
      { AWS_ACCESS_KEY_ID: "ASIAC" },
      "they serve on where nobody can be asked",
    );
    t.match(
      await credentials.fresh("Api", knock("D", new Date(Date.now() + 3_600_000).toISOString())),
      { AWS_ACCESS_KEY_ID: "ASIAD" },
      "they expire within minutes",
    );
    await t.rejects(
      credentials.fresh("None", () => Promise.resolve()),
      { code: "credentials.unknown" },
    );
    await t.rejects(
      credentials.fresh("None", () => Promise.reject(new Error("away"))),
      { message: "away" },
    );
  },
);

t.test("where environments say when their credentials expire, the later expiry wins", (t) => {
  const credentials = new Credentials();
  credentials.greeted({
    functionName: "Api",
    sandbox: "long",
    environment: keys("LONG", "2030-01-01T12:00:00Z"),
  });
  credentials.greeted({
    functionName: "Api",
    sandbox: "short",
    environment: keys("SHORT", "2030-01-01T06:00:00Z"),
  });
  t.match(credentials.freshest("Api", {}), {
    AWS_ACCESS_KEY_ID: "ASIALONG",
    AWS_CREDENTIAL_EXPIRATION: "2030-01-01T12:00:00Z",
  });
  t.end();
});

t.test("an old environment that connects last is still the older one", (t) => {
  const credentials = new Credentials();
  const greeted = (sandbox: string, ageMs: number) =>
    credentials.greeted({ functionName: "Api", sandbox, ageMs, environment: keys(sandbox) });
  // As they come back to a daemon that was restarted: in any order.
  greeted("YOUNG", 60_000);
  greeted("OLD", 3_600_000);
  t.match(credentials.freshest("Api", keys("OLD")), { AWS_ACCESS_KEY_ID: "ASIAYOUNG" });
  greeted("NEW", 10);
  t.match(credentials.freshest("Api", keys("OLD")), { AWS_ACCESS_KEY_ID: "ASIANEW" });
  t.end();
});

t.test("the SDK in a worker that stays uses the new credentials after a rotation", async (t) => {
  const project = ownFolder(t);
  mkdirSync(join(project, "src"));
  symlinkSync(join(ROOT, "node_modules"), join(project, "node_modules"));
  writeFileSync(
    join(project, "src/api.ts"),
    `import { LambdaClient } from "@aws-sdk/client-lambda";
     const client = new LambdaClient({});
     export const handler = async () => {
       const { accessKeyId, sessionToken } = await client.config.credentials();
       return { accessKeyId, sessionToken, pid: process.pid };
     };`,
  );
  const functions = await Functions.open({
    project,
    outDir: join(project, ".build"),
    leftoversDir: join(project, ".workers"),
    record: () => {},
    log: silentLog,
  });
  t.teardown(() => functions[Symbol.asyncDispose]());
  const wanted = wantedFunction("Api", {});
  functions.apply([wanted], { name: "shop", stage: "dev", region: "eu-west-1" });

  const credentials = new Credentials();
  const run = async () => {
    const answer = await functions.run(
      {
        functionName: "Api",
        requestId: String(Math.random()),
        event: Buffer.from("{}"),
        deadlineAt: Date.now() + 20_000,
        remainingMs: () => 20_000,
        functionArn: "arn:aws:lambda:eu-west-1:123456789012:function:api",
        environment: credentials.freshest("Api", keys("FIRST")),
        position: () => {},
        begun: () => {},
        logged: () => {},
      },
      new AbortController().signal,
    );
    if (answer.kind !== "buffered") throw new Error("a streamed answer");
    return JSON.parse(Buffer.from(answer.body).toString()) as Record<string, unknown>;
  };
  credentials.greeted({ functionName: "Api", sandbox: "first", environment: keys("FIRST") });
  const before = await run();
  t.match(before, { accessKeyId: "ASIAFIRST", sessionToken: "token-FIRST" });
  credentials.greeted({ functionName: "Api", sandbox: "second", environment: keys("SECOND") });
  const after = await run();
  t.match(after, { accessKeyId: "ASIASECOND", sessionToken: "token-SECOND" });
  t.equal(after["pid"], before["pid"], "the same process");
});
