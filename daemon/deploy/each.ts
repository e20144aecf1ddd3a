/** Runs `work` on every item, at most `width` at once, in order of their start. Waits for all; then the first error. */
export async function each<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  const errors: unknown[] = [];
  const lane = async () => {
    // After an error nothing new begins; what is under way comes to its end and is journaled.
    while (errors.length === 0) {
      const next = rest.next();
      if (next.done === true) return;
      await work(next.value).catch((error: unknown) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  if (errors.length > 0) throw errors[0];
}
