/** Outputs that the config itself decides (a local database's host), filled in wherever they are used. Pure. */
import { OUTPUT, type WantedApp, type WantedOutput } from "../../proto/app.ts";
import { isObject, isOutput } from "./values.ts";

export type Known = ReadonlyMap<string, unknown>;

type Piece = WantedOutput[typeof OUTPUT][number];

/** What is still not known stays an output, of less. */
export function fill(value: unknown, known: Known): unknown {
  if (Array.isArray(value)) return value.map((item) => fill(item, known));
  if (!isObject(value)) return value;
  if (isOutput(value)) return fillOutput(value, known);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, known)]));
}

function fillOutput(output: WantedOutput, known: Known): unknown {
  const pieces = output[OUTPUT].map((piece) => fillPiece(piece, known));
  const [only] = pieces;
  // Alone, it is the value as it is: a number, a list.
  if (pieces.length === 1 && only !== undefined && "value" in only) return only.value;
  const parts = pieces.flatMap((piece) => {
    if (!("value" in piece)) return [piece.open];
    return isOutput(piece.value) ? piece.value[OUTPUT] : [String(piece.value)];
  });
  return parts.every((part) => typeof part === "string") ? parts.join("") : { [OUTPUT]: parts };
}

function fillPiece(piece: Piece, known: Known): { readonly value: unknown } | { readonly open: Piece } {
  if (typeof piece === "string") return { value: piece };
  if ("ref" in piece) {
    // A value may be an output itself: a local password that is a secret's value.
    return known.has(piece.ref) ? { value: fill(known.get(piece.ref), known) } : { open: piece };
  }
  const json = fill(piece.json, known);
  return holdsOutput(json) ? { open: { json } } : { value: JSON.stringify(json) };
}

function holdsOutput(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return isOutput(value) || Object.values(value).some(holdsOutput);
}

/** Environment variables and CloudFormation's parameters are text, also where a port was filled in. */
export function asText<T>(values: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === "number" || typeof value === "boolean" ? (String(value) as T) : value,
    ]),
  );
}

/** The parts of the app, with all that is known in its place. */
export function fillApp<App extends Omit<WantedApp, "name" | "stage">>(app: App, known: Known): App {
  const filled = fill(app, known) as App;
  return {
    ...filled,
    functions: filled.functions.map((one) => ({ ...one, environment: asText(one.environment) })),
    processes: filled.processes.map((one) => ({ ...one, environment: asText(one.environment) })),
    stacks: filled.stacks.map((one) => ({ ...one, parameters: asText(one.parameters) })),
  };
}
