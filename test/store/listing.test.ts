import Sqlite from "better-sqlite3";
import t, { type Test } from "tap";

import type { Store } from "../../daemon/store/store.ts";
import { shown } from "../../daemon/store/shown.ts";
import { shownStatus, type InvocationRow, type ShownStatus } from "../../daemon/store/summary.ts";
import { times } from "../support/counts.ts";
import { bytesOf, invoke, openStore, seeded, stateFile, type Given } from "./support.ts";

const STATES = ["received", "begun", "answered", "delivered", "undelivered"] as const;
const OUTCOMES = [null, "ok", "error"] as const;
const CAUSES = [
  null,
  "handler",
  "init",
  "build",
  "exit",
  "timeout",
  "cancelled",
  "interrupted",
  "expired",
] as const;
const SHOWN = [
  "received",
  "running",
  "answered",
  "ok",
  "error",
  "interrupted",
  "undelivered",
  "expired",
] as const satisfies readonly ShownStatus[];

const idsOf = (list: readonly { readonly id: number }[]) => list.map(({ id }) => id);

async function filled<const G extends readonly Given[]>(
  t: Test,
  given: G,
): Promise<{ store: Store; ids: number[] }> {
  const store = await openStore(t, stateFile(t));
  const ids = given.map((each) => invoke(store, each));
  await store.flushed();
  return { store, ids };
}

void t.test("a status filter gives exactly the rows that are shown with that status", async (t) => {
  const file = stateFile(t);
  const store = await openStore(t, file);
  const db = new Sqlite(file);
  t.teardown(() => db.close());
  const insert = db.prepare(
    `INSERT INTO invocations (id, request_id, nonce, function_name, state, status, cause, received_at)
     VALUES (?, ?, 'n', 'api', ?, ?, ?, 0)`,
  );
  const expected = new Map<number, ShownStatus>();
  for (const state of STATES)
    for (const status of OUTCOMES)
      for (const cause of CAUSES) {
        const id = expected.size + 1;
        const row: Pick<InvocationRow, "state" | "status" | "cause"> = { state, status, cause };
        insert.run(id, `r${id}`, state, status, cause);
        expected.set(id, shownStatus(row));
      }
  const with_ = (wanted: readonly ShownStatus[]) =>
    [...expected].filter(([, status]) => wanted.includes(status)).map(([id]) => id);
  for (const status of SHOWN) {
    const found = await store.invocations({ status: [status], limit: 1000 });
    t.strictSame(idsOf(found).toReversed(), with_([status]), status);
    t.ok(
      found.every((each) => each.status === status),
      `each is shown as ${status}`,
    );
  }
  const two = await store.invocations({ status: ["expired", "ok"], limit: 1000 });
  t.strictSame(idsOf(two).toReversed(), with_(["expired", "ok"]));
  t.strictSame(await store.invocations({ status: [] }), []);
  t.equal((await store.invocations({ status: [...SHOWN], limit: 1000 })).length, expected.size);
});

void t.test("filters narrow the list together, newest first, page by page", async (t) => {
  const file = stateFile(t);
  const store = await openStore(t, file);
  const all = Array.from({ length: 60 }, (_, n) =>
    invoke(store, {
      functionName: n % 2 === 0 ? "api" : "worker",
      answered: { durationMs: n, status: n % 3 === 0 ? "error" : "ok" },
      logs: [`number ${n}`],
    }),
  );
  await store.flushed();
  const query = { functionName: "api", status: ["error"], minDurationMs: 10 } as const;
  const wanted = all.filter((_, n) => n % 6 === 0 && n >= 10).toReversed();
  t.strictSame(idsOf(await store.invocations(query)), wanted);
  const first = await store.invocations({ ...query, limit: 3 });
  t.strictSame(idsOf(first), wanted.slice(0, 3));
  const second = await store.invocations({ ...query, limit: 3, before: first.at(-1)!.id });
  t.strictSame(idsOf(second), wanted.slice(3, 6), "the next page goes on where the first one ended");
  const found = await store.invocations({ ...query, text: "NUMBER", limit: 3, before: first.at(-1)!.id });
  t.strictSame(idsOf(found), wanted.slice(3, 6), "so do the pages of a search");

  const received = (await store.invocations({ limit: 1000 })).map(({ receivedAt }) => receivedAt);
  t.equal((await store.invocations({ since: Math.min(...received), limit: 1000 })).length, 60);
  t.strictSame(await store.invocations({ since: Math.max(...received) + 1 }), []);
});

void t.test("a text is found wherever it is shown, without regard to case", async (t) => {
  const { store, ids } = await filled(t, [
    { event: { city: "Zürich" } },
    { answer: "Straße 5" },
    { logs: ["first", 'said "Grüezi"\tand left'] },
    { answered: { status: "error", errorMessage: "Cannot find Matterhorn" } },
    { requestId: "8f3c-Eiger" },
    { functionName: "jungfrauApi" },
    { event: '{"n": 12345678901234567890, "dots": "a.b*c"}' },
    { event: { other: 1 } },
  ]);
  const find = async (text: string) => idsOf(await store.invocations({ text }));
  t.strictSame(await find("zÜRICH"), [ids[0]]);
  t.strictSame(await find("STRAßE"), [ids[1]]);
  t.strictSame(await find('SAID "grüezi"\tAND'), [ids[2]]);
  t.strictSame(await find("matterHORN"), [ids[3]]);
  t.strictSame(await find("eiger"), [ids[4]]);
  t.strictSame(await find("Jungfrau"), [ids[5]]);
  t.strictSame(await find("12345678901234567890"), [ids[6]]);
  t.strictSame(await find("A.B*C"), [ids[6]], "a term is no pattern");
  t.strictSame(await find("a.b.c"), []);
  t.strictSame(await find("stdout"), [], "the names of a row's own fields are no text of the user's");
  t.strictSame(await find("invocation.logged"), []);
  t.strictSame(await find("arn:aws"), [], "nor is what is not shown");
});

void t.test("what stands in a redacted part only is not found", async (t) => {
  const { store, ids } = await filled(t, [
    { event: { headers: { authorization: "Bearer matterhorn-4478" }, path: "/eiger" } },
    { event: { body: JSON.stringify({ password: "matterhorn-4478" }) } },
    { answer: { apiKey: "matterhorn-4478" } },
    { logs: ["password=matterhorn-4478"] },
    { answered: { status: "error", errorMessage: "wrong token=matterhorn-4478" } },
    { event: { path: "/matterhorn-4478" } },
  ]);
  const find = async (text: string) => idsOf(await store.invocations({ text }));
  t.strictSame(await find("matterhorn"), [ids[5]]);
  t.strictSame(await find("eiger"), [ids[0]]);
  t.strictSame(await find("«SEALED»"), ids.slice(0, 5).toReversed(), "the mark itself is shown");
  t.strictSame(await find('authorization":"«'), [ids[0]]);
});

void t.test("a search finds what looking through each shown payload would find", async (t) => {
  const random = seeded(7);
  const pick = <T>(list: readonly T[]) => list[random(list.length)]!;
  const words = [
    "alpha",
    "Béta",
    "k",
    "ſ",
    "\u212a",
    "\\",
    '"',
    "/",
    "\n",
    "sealed",
    "«",
    "é",
    "😀",
    "\u0000",
  ];
  const text = () => Array.from({ length: 1 + random(6) }, () => pick(words)).join("");
  const value = (depth: number): unknown => {
    if (depth > 2) return text();
    switch (random(5)) {
      case 0:
        return { [text()]: value(depth + 1), password: text() };
      case 1:
        return [value(depth + 1), text()];
      case 2:
        return JSON.stringify({ token: text(), note: value(depth + 1) });
      case 3:
        return `${text()} Bearer abcdefgh${random(100)}`;
      default:
        return text();
    }
  };
  /** JSON may be written in many ways. */
  const written = (json: string) => {
    if (random(3) === 0) return json.replaceAll("/", String.raw`\/`);
    if (random(2) === 0)
      return json.replaceAll(/[é€aß]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
    return json;
  };
  const events = Array.from({ length: times(400, 100) }, (_, n) =>
    n % 10 === 0
      ? Buffer.from([0x61, 0xff, 0x41, n & 0xff, 0xc3])
      : bytesOf(written(JSON.stringify(value(0)))),
  );
  const { store, ids } = await filled(
    t,
    // All else that is searched are digits, which no term is.
    events.map((event, n) => ({ event, answer: 0, requestId: `${n}`, functionName: "0" })),
  );
  const texts = events.map((event) => shown(event).text);
  const terms = [
    ...words,
    ...Array.from({ length: times(150, 60) }, () => {
      const from = pick(texts);
      const start = random(from.length);
      return from.slice(start, start + 1 + random(8));
    }),
    "\ufffd",
  ].filter((term) => term !== "" && !/^\d+$/.test(term));
  for (const term of terms) {
    const literal = new RegExp(term.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`), "iu");
    const expected = ids.filter((_, n) => literal.test(texts[n]!)).toReversed();
    const found = idsOf(await store.invocations({ text: term, limit: 1000 }));
    if (JSON.stringify(found) !== JSON.stringify(expected))
      t.strictSame(found, expected, JSON.stringify(term));
  }
  t.pass(`${terms.length} terms in ${texts.length} payloads`);
});

const COUNT = times(3_000, 1_000);

void t.test("a search that nobody waits for any more stops, and holds up no other read", async (t) => {
  const { store, ids } = await filled(
    t,
    Array.from({ length: COUNT }, (_, n) => ({ event: { n, note: "x".repeat(500) } })),
  );
  const given = new AbortController();
  const reason = new Error("the client went away");
  const searches = Array.from({ length: 8 }, () => store.invocations({ text: "»absent" }, given.signal));
  t.equal((await store.invocation(ids[0]!))?.id, ids[0], "answered while the searches run");
  given.abort(reason);
  for (const search of searches) await t.rejects(search, reason);
  t.strictSame(idsOf(await store.invocations({ text: `"n":${COUNT - 1},` })), [ids.at(-1)]);
  await t.rejects(store.invocations({}, AbortSignal.abort(reason)), reason);
});

void t.test("an invocation is shown redacted, and as it was only where that is asked for", async (t) => {
  const event = '{"n":1.0, "password" : "matterhorn-4478"}';
  const answer = '{"token":"eiger-4478","ok":true}';
  const { store, ids } = await filled(t, [{ event, answer, logs: ["password=matterhorn-4478"] }]);
  const id = ids[0]!;
  const plain = await store.invocation(id);
  t.strictSame(plain?.event, {
    text: '{"n":1.0, "password" : "«sealed»"}',
    bytes: event.length,
    sealed: true,
  });
  t.strictSame(plain?.answer, { text: '{"token":"«sealed»","ok":true}', bytes: answer.length, sealed: true });
  const revealed = await store.invocation(id, { reveal: true });
  t.strictSame(revealed?.event, { text: event, bytes: event.length, sealed: false });
  t.strictSame(revealed?.answer, { text: answer, bytes: answer.length, sealed: false });
  t.strictSame(
    revealed?.logs.map(({ text }) => text),
    ["password=«sealed»"],
    "a line's secret was never stored",
  );
});

void t.test("what a client runs is told apart, and never taken for a retry of Lambda's", async (t) => {
  const store = await openStore(t, stateFile(t));
  const first = invoke(store, { requestId: "same" });
  await store.flushed();
  const replay = invoke(store, { requestId: "same", replayOf: first, local: true });
  const retry = invoke(store, { requestId: "same" });
  await store.flushed();
  const replayAgain = invoke(store, { requestId: "same", replayOf: replay, local: true });
  const retryAgain = invoke(store, { requestId: "same", until: "begun" });
  const unanswered = invoke(store, { local: true, until: "begun" });
  await store.flushed();
  const links = (await store.invocations()).map(({ id, retryOf, replayOf, local }) => ({
    id,
    retryOf,
    replayOf,
    local,
  }));
  t.strictSame(links.toReversed(), [
    { id: first, retryOf: undefined, replayOf: undefined, local: undefined },
    { id: replay, retryOf: undefined, replayOf: first, local: true },
    { id: retry, retryOf: first, replayOf: undefined, local: undefined },
    { id: replayAgain, retryOf: undefined, replayOf: replay, local: true },
    { id: retryAgain, retryOf: retry, replayOf: undefined, local: undefined },
    { id: unanswered, retryOf: undefined, replayOf: undefined, local: true },
  ]);
  const { events } = await store.events({ types: ["invocation.received"] });
  t.match(events[1]?.event, { replayOf: first, local: true });
  t.strictSame(
    store.unfinished().map(({ id, local }) => ({ id, local })),
    [
      { id: retryAgain, local: false },
      { id: unanswered, local: true },
    ],
  );
});
