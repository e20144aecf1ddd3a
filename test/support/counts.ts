import type { Test } from "tap";

/** How often the tests repeat what they repeat many times: LIVEDEV_FULL=1 (CI) gives the counts that are promised. */
export const times = <T = number>(full: T, quick: T): T =>
  process.env["LIVEDEV_FULL"] === "1" ? full : quick;

/** The `skip` of a test that takes a minute of the machine by itself. */
export const inFull = times<string | false>(false, "only with LIVEDEV_FULL=1");

/** What a test counted; `npm test` prints it at its end. */
export const counted = (t: Test, text: string): void => t.comment(`counted: ${text}`);

/** Of cases that differ in a detail: all with LIVEDEV_FULL=1, else the first ones. */
export const some = <T>(cases: readonly T[], quick = 1): readonly T[] =>
  cases.slice(0, times(cases.length, quick));
