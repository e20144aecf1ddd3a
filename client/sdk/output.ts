/**
 * Values of a config that may be known only once the app stands (a function's URL). An output can be passed on and
 * joined with text; forced to a string while it is unknown, it throws, rather than being silently wrong.
 */
import { OUTPUT, PLAIN, UNKNOWN } from "../../proto/app.ts";

/** A property takes the value itself or an output of it. */
export type Input<T> = T | Output<T>;

type State<T> =
  | { readonly is: "known"; readonly value: T }
  /** Text and references that are joined after deployment. */
  | { readonly is: "later"; readonly parts: readonly Part[] }
  /** Made by code from an output that is not known: nothing can be said of it. */
  | { readonly is: "unknown"; readonly of: string };

type Part = string | { readonly ref: string };

export class Output<T = unknown> {
  readonly #state: State<T>;

  constructor(state: State<T>) {
    this.#state = state;
  }

  static known<T>(value: T): Output<T> {
    return new Output<T>({ is: "known", value });
  }

  /** A component's property by its path, `MyApi.url`. */
  static later(ref: string): Output<string> {
    return new Output<string>({ is: "later", parts: [{ ref }] });
  }

  /** Text with values in it; the result is known when all of them are. */
  static join(texts: readonly string[], values: readonly unknown[]): Output<string> {
    const parts: Part[] = [];
    for (const [index, text] of texts.entries()) {
      parts.push(text);
      if (index >= values.length) continue;
      const value = values[index];
      if (!(value instanceof Output)) {
        parts.push(String(value));
        continue;
      }
      const state: State<unknown> = value.#state;
      if (state.is === "unknown") return new Output<string>(state);
      if (state.is === "known") parts.push(String(state.value));
      else parts.push(...state.parts);
    }
    if (parts.every((part) => typeof part === "string")) return Output.known(parts.join(""));
    return new Output<string>({ is: "later", parts: parts.filter((part) => part !== "") });
  }

  /** A new output, by a function of the value. Of a value that is not known yet, nothing can be computed here. */
  apply<U>(change: (value: T) => Input<U>): Output<U> {
    if (this.#state.is !== "known") return new Output<U>({ is: "unknown", of: this.#describe() });
    const changed = change(this.#state.value);
    return changed instanceof Output ? changed : Output.known(changed);
  }

  toString(): string {
    return String(this.#force());
  }

  toJSON(): unknown {
    return this.#force();
  }

  [Symbol.toPrimitive](): unknown {
    const value = this.#force();
    return typeof value === "number" || typeof value === "boolean" ? value : String(value);
  }

  [PLAIN](): unknown {
    if (this.#state.is === "known") return this.#state.value;
    if (this.#state.is === "later") return { [OUTPUT]: this.#state.parts };
    return { [UNKNOWN]: this.#state.of };
  }

  #force(): T {
    if (this.#state.is === "known") return this.#state.value;
    throw new Error(
      `${this.#describe()} is known only once the app is deployed. Pass it on as it is, join it with $interpolate\`…\`, or link its component and read it from Resource.`,
    );
  }

  #describe(): string {
    if (this.#state.is === "unknown") return this.#state.of;
    if (this.#state.is === "known") return "it";
    return this.#state.parts.flatMap((part) => (typeof part === "string" ? [] : [part.ref])).join(", ");
  }
}

/** Text with outputs in it: `` $interpolate`${api.url}/users` ``. */
export function $interpolate(texts: TemplateStringsArray, ...values: readonly unknown[]): Output<string> {
  return Output.join(texts, values);
}

/** Values and outputs, one after the other, as text. */
export function $concat(...values: readonly unknown[]): Output<string> {
  return Output.join(
    Array.from({ length: values.length + 1 }, () => ""),
    values,
  );
}
