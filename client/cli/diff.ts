/** How two answers differ, line by line, as `diff -u` shows it. */
import { prettyJson } from "../payload.ts";
import { inert, paint } from "./output.ts";

const CONTEXT = 3;
/** Lines of one times lines of the other: beyond that, the middle is shown as all gone and all new. */
const MAX_CELLS = 4_000_000;

type Line = { readonly sign: " " | "-" | "+"; readonly text: string };

/** `undefined`: they say the same. */
export function answerDiff(before: string, after: string): string | undefined {
  const [old, now] = [prettyJson(before), prettyJson(after)];
  if (old === now) return undefined;
  const lines = diffLines(old === "" ? [] : old.split("\n"), now === "" ? [] : now.split("\n"));
  return hunks(lines).map(shown).join("\n");
}

export function diffLines(before: readonly string[], after: readonly string[]): Line[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end += 1;
  }
  const same = (text: string): Line => ({ sign: " ", text });
  return [
    ...before.slice(0, start).map(same),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ];
}

/** By the longest common subsequence. */
function middle(before: readonly string[], after: readonly string[]): Line[] {
  const gone = (text: string): Line => ({ sign: "-", text });
  const added = (text: string): Line => ({ sign: "+", text });
  if (before.length * after.length > MAX_CELLS) return [...before.map(gone), ...after.map(added)];
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  const at = (row: number, column: number) => common[row * width + column] ?? 0;
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      common[row * width + column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  const lines: Line[] = [];
  let row = 0;
  let column = 0;
  while (row < before.length || column < after.length) {
    const [left, right] = [before[row], after[column]];
    if (left !== undefined && left === right) {
      lines.push({ sign: " ", text: left });
      row += 1;
      column += 1;
    } else if (left !== undefined && (right === undefined || at(row + 1, column) >= at(row, column + 1))) {
      lines.push(gone(left));
      row += 1;
    } else {
      lines.push(added(right ?? ""));
      column += 1;
    }
  }
  return lines;
}

/** What changed, with a few lines around it. */
function hunks(lines: readonly Line[]): (Line | "…")[] {
  const near = new Set<number>();
  for (const [at, { sign }] of lines.entries()) {
    if (sign === " ") continue;
    for (let around = at - CONTEXT; around <= at + CONTEXT; around += 1) near.add(around);
  }
  return lines.flatMap((line, at): (Line | "…")[] => {
    if (near.has(at)) return [line];
    return near.has(at - 1) || at === 0 ? ["…"] : [];
  });
}

function shown(line: Line | "…"): string {
  if (line === "…") return paint("dim", "…");
  const text = `${line.sign} ${inert(line.text)}`;
  if (line.sign === " ") return text;
  return paint(line.sign === "-" ? "red" : "green", text);
}
