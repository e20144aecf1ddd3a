import t from "tap";

import { answerToKnock, makeKnock } from "../../daemon/credentials/knock.ts";
import { isKnock, knockOf } from "../../proto/knock.ts";

const [KEY, OTHER] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];

t.test("a knock that the stage's key signed is answered, any other is refused", (t) => {
  const knock = makeKnock(KEY);
  t.ok(isKnock(knock));
  t.match(answerToKnock(knock, [KEY]), { status: "ok" });
  t.match(answerToKnock(knock, [OTHER, KEY]), { status: "ok" }, "also by the key before a rotation");
  const { at, mac } = (
    JSON.parse(Buffer.from(knock).toString()) as { "livedev:knock": { at: number; mac: string } }
  )["livedev:knock"];
  for (const event of [
    makeKnock(OTHER),
    Buffer.from(knockOf({ at: at + 1, mac })),
    Buffer.from(knockOf({ at, mac: mac.slice(2) })),
    Buffer.from(knockOf({ at, mac: "" })),
    Buffer.from('{"livedev:knock":null}'),
    Buffer.from('{"livedev:knock":'),
  ]) {
    t.ok(isKnock(event), "it is none of the user's");
    t.match(answerToKnock(event, [KEY]), { status: "error", errorType: "Livedev.KnockRefused" });
  }
  t.end();
});

t.test("one that was signed long ago is refused: it may have been seen by others", (t) => {
  const { now } = Date;
  t.teardown(() => (Date.now = now));
  const knock = makeKnock(KEY);
  Date.now = () => now() + 120_000;
  t.match(answerToKnock(knock, [KEY]), { errorType: "Livedev.KnockRefused" });
  t.end();
});

t.test("what only looks a little like it is the user's", (t) => {
  for (const event of ["", "{}", '{"livedev:knoc', '{"a":{"livedev:knock":1}}', '{ "livedev:knock":1}'])
    t.notOk(isKnock(Buffer.from(event)));
  t.end();
});
