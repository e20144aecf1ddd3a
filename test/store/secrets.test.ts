import { readdirSync, readFileSync, statSync, writeFileSync, chmodSync } from "node:fs";
import { dirname, join } from "node:path";

import t from "tap";

import { Child, childProgram } from "./processes.ts";
import { invoke, openStore, stateFile } from "./support.ts";

const long = (seed: string) => Buffer.from(seed.repeat(9)).toString("base64");

/** Values that stand nowhere else, each looking like the thing it is. */
const PLANTED = {
  password: "plantedPassword-4478",
  bearer: "plantedBearerToken4478abcdefgh",
  cookie: "session=plantedCookie4478",
  apiKey: "plantedApiKey4478",
  accessKeyId: "AKIAPLANTED447800001",
  secretAccessKey: "Pl4ntedSecretAccessKey/4478abcdefghIJKL0",
  sessionToken: `IQoJplanted${"4478".repeat(30)}`,
  jwt: "eyJwbGFudGVkIjo0NDc4.eyJwbGFudGVkIjo0NDc4.cGxhbnRlZDQ0Nzg",
  github: "ghp_planted4478planted4478planted4478plan",
  stripe: "sk_live_planted4478planted4478",
  clientSecret: "plantedClientSecret4478",
  keyLine1: `MIIEvPlanted4478${long("one")}`.slice(0, 64),
  keyLine2: `Planted4478bcdef${long("two")}`.slice(0, 64),
  clientContext: "plantedClientContext4478",
  inBase64: "plantedInBase64-4478",
} as const;

const PEM = [
  "-----BEGIN RSA PRIVATE KEY-----",
  PLANTED.keyLine1,
  PLANTED.keyLine2,
  "-----END RSA PRIVATE KEY-----",
];

const EVENT = {
  headers: {
    Authorization: `Bearer ${PLANTED.bearer}`,
    cookie: PLANTED.cookie,
    "x-api-key": PLANTED.apiKey,
    accept: "text/plain",
  },
  cookies: [PLANTED.cookie],
  rawQueryString: `page=2&access_token=${PLANTED.password}`,
  body: JSON.stringify({
    user: "heidi",
    password: PLANTED.password,
    nested: JSON.stringify({ clientSecret: PLANTED.clientSecret }),
  }),
  encoded: Buffer.from(JSON.stringify({ password: PLANTED.inBase64 })).toString("base64"),
  text: `keys: ${PLANTED.accessKeyId} ${PLANTED.secretAccessKey} ${PLANTED.sessionToken} ${PLANTED.jwt}`,
  list: [{ name: "X-Secret", value: PLANTED.clientSecret }],
  pem: PEM.join("\n"),
};

const LINES = [
  "an ordinary line",
  `password=${PLANTED.password}`,
  `calling with Authorization: Bearer ${PLANTED.bearer}`,
  `{"apiKey":"${PLANTED.apiKey}","user":"heidi"}`,
  `{ clientSecret: '${PLANTED.clientSecret}', n: 1 }`,
  `env AWS_SECRET_ACCESS_KEY=${PLANTED.secretAccessKey} AWS_SESSION_TOKEN=${PLANTED.sessionToken}`,
  `found ${PLANTED.accessKeyId} and ${PLANTED.jwt} and ${PLANTED.github} and ${PLANTED.stripe}`,
  ...PEM,
  "between two keys",
  `  key: '${PEM[0]!}\\n' +`,
  `    '${PLANTED.keyLine1}\\n' +`,
  `    '${PLANTED.keyLine2}\\n' +`,
  `    '${PEM[3]!}'`,
  "the last line",
];

/** Where planted values stand in clear in the files of the folder. */
function inClear(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const bytes = readFileSync(join(folder, name));
    return Object.entries(PLANTED)
      .filter(
        ([, value]) =>
          bytes.includes(value) || bytes.includes(Buffer.from(value).toString("base64").slice(2, -4)),
      )
      .map(([kind]) => `${kind} in ${name}`);
  });
}

const plantedIn = (shown: unknown) =>
  Object.entries(PLANTED)
    .filter(([, value]) => JSON.stringify(shown).includes(value))
    .map(([kind]) => kind);

const modes = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder).map((name) => [name, (statSync(join(folder, name)).mode & 0o777).toString(8)]),
  );

void t.test(
  "F39: planted secrets stand in clear in no file, and are shown only where that is asked for",
  async (t) => {
    const file = stateFile(t);
    const folder = dirname(file);
    const store = await openStore(t, file);
    const id = store.receive({
      event: { functionName: "api", requestId: "r", nonce: "n" },
      payload: Buffer.from(JSON.stringify(EVENT)),
      context: { functionArn: "arn", deadlineAt: 0, clientContext: PLANTED.clientContext },
    });
    const of = { id, functionName: "api", requestId: "r" };
    store.record({ type: "invocation.begun", ...of, codeHash: "0", coldStart: true });
    for (const text of LINES) {
      store.record({ type: "invocation.logged", ...of, stream: "stdout", text });
      // Other lines in between, from elsewhere.
      store.record({ type: "function.logged", functionName: "other", stream: "stderr", text: "meanwhile" });
      store.record({ type: "function.logged", functionName: "api", stream: "stderr", text });
    }
    const message = `cannot connect with password=${PLANTED.password} (${PLANTED.jwt})`;
    store.answer({
      event: {
        ...of,
        status: "error",
        durationMs: 1,
        errorType: `E ${PLANTED.github}`,
        errorMessage: message,
      },
      body: Buffer.from(
        JSON.stringify({ errorMessage: message, token: PLANTED.bearer, key: PEM.join("\n") }),
      ),
      contentType: "application/json",
      streamed: false,
    });
    store.record({ type: "invocation.undelivered", ...of, reason: message });
    store.record({ type: "sandbox.disconnected", functionName: "api", sandbox: "s", reason: message });
    store.record({ type: "config.failed", message });
    store.record({ type: "deploy.failed", message });
    store.record({
      type: "build.failed",
      functionName: "api",
      errors: [{ text: message, lineText: `const password = "${PLANTED.password}";` }],
    });
    await store.flushed();

    t.strictSame(inClear(folder), [], "while it is open, the WAL among them");
    t.strictSame(modes(folder), {
      "deploy.db": "600",
      "deploy.db-shm": "600",
      "deploy.db-wal": "600",
      "history.db": "600",
      "history.db-shm": "600",
      "history.db-wal": "600",
      "history.key": "600",
    });
    t.equal(statSync(folder).mode & 0o777, 0o700);

    const shown = {
      detail: await store.invocation(id),
      list: await store.invocations(),
      events: await store.events({ limit: 1000 }),
    };
    t.strictSame(plantedIn(shown), [], "nor in what is shown");
    const detail = shown.detail!;
    t.match(detail.event.text, /"accept":"text\/plain"/, "while what is harmless is");
    t.match(detail.event.text, /heidi/);
    t.match(detail.event.text, /page=2/);
    t.strictSame(
      detail.logs.filter(({ text }) => !text.includes("«sealed»")).map(({ text }) => text),
      ["an ordinary line", "between two keys", "the last line"],
    );
    t.match(detail.logs[3]?.text, /heidi/);

    const revealed = await store.invocation(id, { reveal: true });
    t.equal(revealed?.event.text, JSON.stringify(EVENT));
    t.equal((JSON.parse(revealed!.answer!.text) as { token: string }).token, PLANTED.bearer);
    const unsealed = await store.unseal(id);
    t.equal(Buffer.from(unsealed!.event).toString(), JSON.stringify(EVENT), "a replay has the very bytes");
    t.match(unsealed?.context, PLANTED.clientContext);

    await store[Symbol.asyncDispose]();
    t.strictSame(inClear(folder), [], "after it was closed");
  },
);

void t.test("F39: files that were made open to others, or by a crash, are private again", async (t) => {
  const program = await childProgram(t);
  const file = stateFile(t);
  const folder = dirname(file);
  const mask = process.umask(0);
  const child = new Child(t, process.execPath, [program, file, "record"]);
  process.umask(mask);
  await child.said(5);
  child.process.kill("SIGKILL");
  await child.ended;
  for (const mode of Object.values(modes(folder))) t.equal(mode, "600", "whatever the umask");
  chmodSync(folder, 0o755);
  for (const name of readdirSync(folder)) chmodSync(join(folder, name), 0o644);
  await openStore(t, file);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  for (const [name, mode] of Object.entries(modes(folder))) {
    if (!/-(?:wal|shm)$/.test(name)) t.equal(mode, "600", name);
  }
});

void t.test("F39: values that are known to be secret are withheld wherever they are printed", async (t) => {
  const store = await openStore(t, stateFile(t));
  store.conceal(["walrus\n4478 of old", "4478", "planner"]);
  const logs = ["it is 4478 of old", " 4478 ", "4478 are left", "walrus", "of planner"];
  const id = invoke(store, { functionName: "planner", event: "4478", answer: `{"key":"4478 of old"}`, logs });
  const found = await store.invocation(id);
  t.strictSame(
    found?.logs.map(({ text }) => text),
    ["it is «sealed»", "«sealed»", "4478 are left", "«sealed»", "of «sealed»"],
    "a short one where it is all that a line says, each line of one that has several",
  );
  t.strictSame([found?.event.text, found?.answer?.text], ["«sealed»", `{"key":"«sealed»"}`]);
  t.equal(found?.functionName, "planner", "a function that is called so is found all the same");
});

void t.test("F39: what another key sealed is withheld, and the rest of history still reads", async (t) => {
  const file = stateFile(t);
  const first = await openStore(t, file);
  const id = invoke(first, { event: { city: "Bern" }, logs: ["a line"] });
  await first[Symbol.asyncDispose]();
  const key = file.replace(".db", ".key");
  for (const [name, text] of [
    ["another key", "0".repeat(64)],
    ["a damaged key", "not a key"],
  ] as const) {
    writeFileSync(key, text);
    const store = await openStore(t, file);
    const withheld = { text: "«sealed»", bytes: 15, sealed: true };
    t.strictSame((await store.invocation(id))?.event, withheld, name);
    t.strictSame((await store.invocation(id, { reveal: true }))?.event, withheld, `${name}, revealed`);
    t.equal((await store.invocation(id))?.logs[0]?.text, "a line");
    t.equal(await store.unseal(id), undefined);
    t.strictSame(await store.invocations({ text: "Bern" }), []);
    const next = invoke(store, { event: { city: "Chur" } });
    await store.flushed();
    t.equal(
      (await store.invocation(next))?.event.text,
      '{"city":"Chur"}',
      "what comes is sealed with the key that is there",
    );
    await store[Symbol.asyncDispose]();
  }
});
