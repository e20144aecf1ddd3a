import t from "tap";

import { plan, type Deployed, type DeployedFunction, type Step } from "../../daemon/deploy/plan.ts";
import { TAGS, wantedStubs, type StubParts } from "../../daemon/deploy/stubs.ts";
import { physicalName, type WantedFunction } from "../../proto/app.ts";
import { wantedApp, wantedFunction } from "./rig.ts";

const PARTS: StubParts = {
  region: "us-east-1",
  program: "p".repeat(64),
  keyId: "key-1",
  addresses: [{ address: "tls://127.0.0.1:1", match: "*" }],
};
const NOTHING: Deployed = { functions: [], roles: [] };
const URL = { authorization: "none" } as const;

const stubs = (functions: WantedFunction[], parts: Partial<StubParts> = {}) =>
  wantedStubs(wantedApp({ stage: "dev" }, functions), { ...PARTS, ...parts });

/** As it stands once everything wanted was carried out. */
function done(functions: WantedFunction[], parts: Partial<StubParts> = {}): Deployed {
  const wanted = stubs(functions, parts);
  return {
    functions: wanted.map(({ component, nameInAws, hashes, url }) => ({
      component,
      nameInAws,
      functionArn: `arn:aws:lambda:us-east-1:1:function:${nameInAws}`,
      hash: hashes.function,
      urlHash: url === undefined ? undefined : hashes.url,
      url: url === undefined ? undefined : "http://127.0.0.1:2/",
      stub: true,
    })),
    roles: wanted.map(({ component, nameInAws, hashes }) => ({
      component,
      nameInAws,
      roleArn: `arn:aws:iam::1:role/${nameInAws}`,
      hash: hashes.role,
    })),
  };
}

const shown = (steps: readonly Step[]) => steps.map(({ action, resource }) => `${action} ${resource}`);

/** The same, with its only function as it stands changed. */
function changed(deployed: Deployed, change: Partial<DeployedFunction>): Deployed {
  return { ...deployed, functions: deployed.functions.map((one) => ({ ...one, ...change })) };
}

void t.test("what is new is made in the order in which one thing needs the other", async (t) => {
  t.same(shown(plan(NOTHING, stubs([wantedFunction("Api", { url: URL })]))), [
    "create role",
    "create function",
    "create url",
  ]);
});

void t.test("where all stands as wanted there is nothing to do", async (t) => {
  const functions = [wantedFunction("Api", { url: URL }), wantedFunction("Worker")];
  t.same(plan(done(functions), stubs(functions)), []);
});

void t.test("only what changed is done again", async (t) => {
  const before = [wantedFunction("Api", { url: URL }), wantedFunction("Worker")];
  const one = (more: Partial<WantedFunction>) => [wantedFunction("Api", { url: URL, ...more }), before[1]!];
  const cases: readonly [string, WantedFunction[], string[]][] = [
    ["memory", one({ memoryMb: 512 }), ["update function"]],
    ["timeout", one({ timeoutMs: 20_000 }), ["update function"]],
    ["handler", one({ handler: "src/other.handler" }), ["update function"]],
    ["what answers while nobody is there", one({ whenAway: "deployed" }), ["update function"]],
    ["tags", one({ tags: { team: "a" } }), ["update role", "update function"]],
    [
      "permissions",
      one({ permissions: [{ effect: "allow", actions: ["s3:*"], resources: ["*"] }] }),
      ["update role"],
    ],
    ["the URL's authorization", one({ url: { authorization: "iam" } }), ["update url"]],
    ["a URL less", [wantedFunction("Api"), before[1]!], ["delete url"]],
    ["a function less", [before[0]!], ["delete function", "delete role"]],
    // What only local code sees never travels.
    ["the local code's environment", one({ environment: { A: "1" } }), []],
    ["how the bundle is made", one({ nodejs: { ...before[0]!.nodejs, minify: true } }), []],
  ];
  for (const [what, functions, steps] of cases)
    t.same(shown(plan(done(before), stubs(functions))), steps, what);
});

void t.test("another stub program, key or address reaches every function", async (t) => {
  const functions = [wantedFunction("Api", { url: URL }), wantedFunction("Worker")];
  const updates = ["update function", "update function"];
  t.same(shown(plan(done(functions), stubs(functions, { program: "q" }))), updates);
  t.same(shown(plan(done(functions), stubs(functions, { keyId: "key-2" }))), updates);
  const addresses = [{ address: "tls://127.0.0.1:3", match: "*" }];
  t.same(shown(plan(done(functions), stubs(functions, { addresses }))), updates);
});

void t.test("what a kill left half done is done again", async (t) => {
  const functions = [wantedFunction("Api", { url: URL })];
  const all = done(functions);
  const wanted = stubs(functions);
  t.same(
    shown(plan({ functions: [], roles: all.roles.map((role) => ({ ...role, hash: undefined })) }, wanted)),
    ["update role", "create function", "create url"],
  );
  t.same(shown(plan(changed(all, { hash: undefined }), wanted)), ["update function"]);
  t.same(shown(plan(changed(all, { stub: false }), wanted)), ["update function"], "deployed code");
  t.same(shown(plan(changed(all, { urlHash: undefined }), wanted)), ["update url"]);
  t.same(shown(plan(changed(all, { url: undefined }), wanted)), ["create url"]);
  t.same(shown(plan({ ...all, roles: [] }, wanted)), ["create role", "update function"]);
  t.same(
    shown(plan({ functions: [], roles: all.roles }, [])),
    ["delete role"],
    "a role whose function is gone",
  );
});

void t.test("functions that are not developed live are left as they are", async (t) => {
  const functions = [wantedFunction("Api"), wantedFunction("Real", { dev: false })];
  const real = done([wantedFunction("Real", { url: URL })]);
  t.same(
    stubs(functions).map(({ component }) => component),
    ["Api"],
  );
  const leave = [physicalName("shop", "dev", "Real")];
  t.same(shown(plan(real, stubs(functions), leave)), ["create role", "create function"]);
  t.same(shown(plan(real, [])), ["delete url", "delete function", "delete role"], "unless they are gone");
});

void t.test("the same two give the same steps, whatever the order of properties", async (t) => {
  const straight = wantedFunction("Api", {
    url: { authorization: "none", cors: { allowMethods: ["GET"], maxAgeSeconds: 1 } },
  });
  const turned = Object.fromEntries(Object.entries(straight).toReversed()) as WantedFunction;
  t.same(stubs([turned])[0]?.hashes, stubs([straight])[0]?.hashes);
  const frozen = Object.freeze(done([straight]));
  t.same(plan(frozen, stubs([turned])), []);
});

void t.test("no secret stands in a plan", async (t) => {
  const [stub] = stubs([wantedFunction("Api", { environment: { PASSWORD: "planted" } })]);
  t.notMatch(JSON.stringify(plan(NOTHING, stub === undefined ? [] : [stub])), /planted/);
  t.notOk(
    "key" in (stub?.code.is === "stub" ? stub.code.settings : {}),
    "the key is put in with the package",
  );
});

void t.test("names that AWS would not take are cut and told apart", async (t) => {
  const long = (end: string) => `${"Component".repeat(8)}${end}`;
  const [one, other] = stubs([wantedFunction(long("A")), wantedFunction(long("B"))]);
  for (const stub of [one, other]) t.equal(stub?.nameInAws.length, 64);
  t.not(one?.nameInAws, other?.nameInAws);
  t.equal(one?.tags[TAGS.component], long("A"));
  t.equal(stubs([wantedFunction("Api", { nameInAws: "my-own-name" })])[0]?.nameInAws, "my-own-name");
});
