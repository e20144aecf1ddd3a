/** How often the tests repeat what they repeat many times: LIVEDEV_FULL=1 (CI) gives the counts that are promised. */
export const times = (full: number, quick: number): number =>
  process.env["LIVEDEV_FULL"] === "1" ? full : quick;
