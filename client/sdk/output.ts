/**
 * Values of a config that may be known only once the app stands (a function's URL). An output can be passed on and
 * joined with text; forced to a string while it is unknown, it throws, rather than being silently wrong.
 */
import { OUTPUT, PLAIN, UNKNOWN } from "../../proto/app.ts";
import { foresee } from "./foresee.ts";

/** A property takes the value itself or an output of it. */
export type Input<T> = T | Output<T>;

/** What is left when outputs have become values. */
export type Unwrapped<T> =
  T extends Output<infer U>
    ? Unwrapped<U>
    : T extends readonly unknown[] | { readonly [key: string]: unknown }
      ? { -readonly [K in keyof T]: Unwrapped<T[K]> }
      : T;

type State<T> =
  | { readonly is: "known"; readonly value: T }
  /** Data in which there are outputs. */
  | { readonly is: "holding"; readonly value: unknown }
  /** Text and references that are joined after deployment. */
  | { readonly is: "later"; readonly parts: readonly Part[] }
  /** Made by code from an output that is not known: nothing can be said of it. */
  | { readonly is: "unknown"; readonly of: string };

type Part = string | { readonly ref: string } | { readonly json: unknown };

export class Output<T = unknown> {
  readonly #state: State<T>;

  constructor(state: State<T>) {
    this.#state = state;
  }

  static known<T>(value: T): Output<T> {
    return new Output<T>({ is: "known", value });
  }

  /** A component's property by its path, `MyApi.url`. */
  static later<T = string>(ref: string): Output<T> {
    return new Output<T>({ is: "later", parts: [{ ref }] });
  }

  /** Data, known where all outputs in it are. */
  static of<T>(value: T): Output<Unwrapped<T>> {
    if (value instanceof Output) return value as Output<Unwrapped<T>>;
    const waiting = outputsIn(value).find((output) => output.#state.is !== "known");
    if (waiting === undefined) return Output.known(withoutOutputs(value) as Unwrapped<T>);
    if (waiting.#state.is === "unknown") return new Output<Unwrapped<T>>(waiting.#state);
    return new Output<Unwrapped<T>>({ is: "holding", value });
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
      else if (state.is === "later") parts.push(...state.parts);
      else return new Output<string>({ is: "unknown", of: value.#describe() });
    }
    if (parts.every((part) => typeof part === "string")) return Output.known(parts.join(""));
    return new Output<string>({ is: "later", parts: parts.filter((part) => part !== "") });
  }

  /** The data as JSON text. */
  static json(value: unknown): Output<string> {
    const data = Output.of(value);
    const state: State<unknown> = data.#state;
    if (state.is === "known") return Output.known(JSON.stringify(state.value));
    if (state.is === "unknown") return new Output<string>(state);
    return new Output<string>({ is: "later", parts: [{ json: value }] });
  }

  /**
   * A new output, by a function of the value. Where the value is known only once the app stands, the function may do
   * nothing with it but put it into text and data; of anything else nothing can be said here.
   */
  apply<U>(change: (value: T) => Input<U>): Output<U> {
    if (this.#state.is === "known") return Output.of(change(this.#state.value)) as Output<U>;
    if (this.#state.is === "unknown") return new Output<U>(this.#state);
    const held = this.#state.is === "holding" ? this.#state.value : this;
    const foreseen = foresee(held, (value) => change(value as T), {
      isOutput: (value) => value instanceof Output,
      isKnown: (output) => output.#state.is === "known",
      valueOf: (output) => (output.#state as { value?: unknown }).value,
      join: (texts, values) => Output.join(texts, values),
    });
    return foreseen === undefined
      ? new Output<U>({ is: "unknown", of: this.#describe() })
      : (Output.of(foreseen.value) as Output<U>);
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
    if (this.#state.is === "later") return { [OUTPUT]: this.#state.parts };
    if (this.#state.is === "unknown") return { [UNKNOWN]: this.#state.of };
    return this.#state.value;
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
    if (this.#state.is === "holding") return describe(this.#state.value);
    return this.#state.parts
      .flatMap((part) => (typeof part === "string" ? [] : "ref" in part ? [part.ref] : [describe(part.json)]))
      .join(", ");
  }

  /** Of data, the outputs in it that are waited for. */
  static describe(value: unknown): string {
    return outputsIn(value)
      .filter((output) => output.#state.is !== "known")
      .map((output) => output.#describe())
      .join(", ");
  }

  /** Of an output that is known. */
  static valueOf(output: Output): unknown {
    return (output.#state as { value?: unknown }).value;
  }
}

const describe = (value: unknown) => Output.describe(value);

/** Class instances other than outputs (components) are what they are. */
function isData(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === null || prototype === Object.prototype;
}

function outputsIn(value: unknown): Output[] {
  if (value instanceof Output) return [value];
  return isData(value) ? Object.values(value).flatMap(outputsIn) : [];
}

/** All of them known. */
function withoutOutputs(value: unknown): unknown {
  if (value instanceof Output) return withoutOutputs(Output.valueOf(value));
  if (!isData(value)) return value;
  if (Array.isArray(value)) return value.map(withoutOutputs);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutOutputs(item)]));
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

/**
 * Several outputs as one: `` $resolve([api.url, bucket.name]).apply(([url, name]) => `${url}/${name}`) ``; also of an
 * object.
 */
export function $resolve<const T extends readonly unknown[] | { readonly [key: string]: unknown }>(
  values: T,
): Output<Unwrapped<T>> {
  return Output.of(values);
}

/** Data with outputs in it, as JSON text. */
export function $jsonStringify(value: unknown): Output<string> {
  return Output.json(value);
}
