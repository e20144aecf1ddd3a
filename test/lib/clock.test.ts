import t from "tap";

import { createClock } from "../../daemon/lib/clock.ts";

t.test("the clock goes on while the machine sleeps, and knows nothing of the wall's", async (t) => {
  let [monotonic, sinceBoot] = [1_000, 50_000];
  const now = createClock({ monotonicMs: () => monotonic, sinceBootMs: () => sinceBoot });
  t.equal(now(), 1_000);
  monotonic += 500;
  sinceBoot += 490;
  t.equal(now(), 1_500, "the coarse clock's resolution is no sleep");
  sinceBoot += 7_200_000;
  monotonic += 10;
  t.equal(now(), 1_510 + 7_200_000 - 20, "two hours asleep");
  sinceBoot -= 100_000_000;
  t.equal(now(), 1_510, "and it never goes back behind the monotonic clock");
});
