/** What a part opened is closed once, in reverse. */
import t from "tap";

import { Scope } from "../../daemon/lib/scope.ts";

t.test("it is closed for everybody from the moment it closes, and closes once", async (t) => {
  const scope = new Scope();
  const seen: unknown[] = [];
  scope.defer(() => seen.push("first opened"));
  scope.defer(() => {
    seen.push(scope.closed);
    // As a listener of the signal, or a closer, may ask.
    void scope.close();
  });
  scope.signal.addEventListener("abort", () => seen.push(scope.closed));
  await Promise.all([scope.close(), scope.close()]);
  t.strictSame(seen, [true, true, "first opened"]);
});

t.test("a closer that fails keeps no other from running, and is told of", async (t) => {
  const scope = new Scope();
  const seen: string[] = [];
  scope.defer(() => seen.push("first"));
  scope.defer(() => Promise.reject(new Error("the second could not")));
  await t.rejects(scope.close(), { message: "the second could not" });
  t.strictSame(seen, ["first"]);
});
