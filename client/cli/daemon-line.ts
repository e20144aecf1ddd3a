/** One line of the daemon's log, which is JSON by pino, for reading. Anything else is shown as it stands. */
import { inert, paint, type Style } from "./output.ts";
import { fineClock } from "./time.ts";

const LEVELS: Readonly<Record<number, readonly [name: string, style: Style]>> = {
  10: ["trace", "dim"],
  20: ["debug", "dim"],
  30: ["info", "green"],
  40: ["warn", "yellow"],
  50: ["error", "red"],
  60: ["fatal", "red"],
};

type Entry = { readonly level: number; readonly time: number; readonly [field: string]: unknown };

export function parseEntry(line: string): Entry | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    const value = JSON.parse(line) as Partial<Entry>;
    return typeof value.level === "number" && typeof value.time === "number" ? (value as Entry) : undefined;
  } catch {
    // The first bytes of a line that a crash cut off.
    return undefined;
  }
}

export function daemonLine(line: string, stream: NodeJS.WriteStream = process.stdout): string {
  const entry = parseEntry(line);
  if (entry === undefined) return inert(line, stream);
  const { level, time, component, msg, err, ...rest } = entry;
  const [name, style] = LEVELS[level] ?? [String(level), "dim"];
  const fields = Object.entries(rest).map(([field, value]) => `${field}=${shown(value)}`);
  const head = [
    paint("dim", fineClock(time), stream),
    paint(style, name.padEnd(5), stream),
    ...(typeof component === "string" ? [paint("bold", component, stream)] : []),
    inert(typeof msg === "string" ? msg : "", stream),
    ...(fields.length > 0 ? [paint("dim", inert(fields.join(" "), stream), stream)] : []),
  ].join("  ");
  const stack = stackOf(err);
  return stack === undefined ? head : `${head}\n${inert(stack, stream).replaceAll(/^/gm, "    ")}`;
}

const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

function stackOf(err: unknown): string | undefined {
  if (typeof err !== "object" || err === null) return undefined;
  if ("stack" in err && typeof err.stack === "string") return err.stack;
  return "message" in err && typeof err.message === "string" ? err.message : undefined;
}
