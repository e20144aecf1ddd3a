/**
 * What a function will make of a value that is not known yet. It is called with a stand-in that can be put into text
 * and data and nothing else: whoever looks at it (a comparison of lengths, a property, a number) stops the foresight.
 */

/** The outputs' own side, which knows their inside. */
export type Outputs<Output> = {
  readonly isOutput: (value: unknown) => value is Output;
  readonly isKnown: (output: Output) => boolean;
  readonly valueOf: (output: Output) => unknown;
  readonly join: (texts: readonly string[], values: readonly unknown[]) => Output;
};

/** `held`: an output, or data with outputs in it. Undefined where the function looks at what is not known. */
export function foresee<Output extends object>(
  held: unknown,
  change: (value: unknown) => unknown,
  outputs: Outputs<Output>,
): { readonly value: unknown } | undefined {
  const standIns = new Map<object, Output>();
  const waiting: Output[] = [];
  /** Those that became text: each must be found in the result, or the text was looked at and thrown away. */
  const spoken = new Set<number>();

  const standIn = (output: Output): object => {
    const index = waiting.push(output) - 1;
    const speak = () => {
      spoken.add(index);
      // A character that no text has: private use.
      return `\uE000${index}\uE000`;
    };
    const refuse = () => {
      throw new Unforeseen();
    };
    const made = new Proxy(Object.freeze({}), {
      get(_, key) {
        if (key === Symbol.toPrimitive) return (hint: string) => (hint === "number" ? refuse() : speak());
        return key === "toString" ? speak : refuse();
      },
      has: refuse,
      ownKeys: refuse,
      getPrototypeOf: () => Object.prototype,
    });
    standIns.set(made, output);
    return made;
  };

  const given = mapData(held, (value) => {
    if (!outputs.isOutput(value)) return undefined;
    return { instead: outputs.isKnown(value) ? outputs.valueOf(value) : standIn(value) };
  });
  const found = new Set<number>();
  const outputOf = (value: unknown): { readonly instead: unknown } | undefined => {
    if (typeof value === "object" && value !== null && standIns.has(value))
      return { instead: standIns.get(value) };
    if (outputs.isOutput(value)) {
      return outputs.isKnown(value)
        ? { instead: mapData(outputs.valueOf(value), outputOf) }
        : { instead: value };
    }
    if (typeof value !== "string" || !value.includes("\uE000")) return undefined;
    // Text, index, text, index, …, text.
    const pieces = value.split(/\uE000(\d+)\uE000/);
    const values = pieces.flatMap((piece, at) => {
      if (at % 2 === 0) return [];
      found.add(Number(piece));
      return [waiting[Number(piece)]];
    });
    return {
      instead: outputs.join(
        pieces.filter((_, at) => at % 2 === 0),
        values,
      ),
    };
  };

  try {
    const value = mapData(change(given), outputOf);
    return [...spoken].every((index) => found.has(index)) ? { value } : undefined;
  } catch (error) {
    if (error instanceof Unforeseen || spoken.size > 0) return undefined;
    throw error;
  }
}

class Unforeseen extends Error {}

/** Data with each value replaced that `change` has something for; class instances are left alone. */
function mapData(
  value: unknown,
  change: (value: unknown) => { readonly instead: unknown } | undefined,
): unknown {
  const changed = change(value);
  if (changed !== undefined) return changed.instead;
  if (Array.isArray(value)) return value.map((item) => mapData(item, change));
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapData(item, change)]));
}
