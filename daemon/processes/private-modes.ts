/**
 * What a terminal's program asked for that the serializer leaves out: whether the cursor is shown, and how the mouse
 * is told. Whoever draws the screen anew needs both.
 */
import type { Terminal } from "@xterm/headless";

/** The cursor; the mouse by SGR. */
const FOLLOWED: ReadonlyMap<number, boolean> = new Map([
  [25, true],
  [1006, false],
]);

export class PrivateModes {
  readonly #differing = new Set<number>();

  constructor(parser: Terminal["parser"]) {
    for (const [final, on] of [
      ["h", true],
      ["l", false],
    ] as const) {
      parser.registerCsiHandler({ prefix: "?", final }, (params) => {
        for (const mode of params) if (typeof mode === "number") this.#set(mode, on);
        // The terminal's own handler has its turn too.
        return false;
      });
    }
    const reset = () => {
      this.#differing.clear();
      return false;
    };
    parser.registerEscHandler({ final: "c" }, reset);
    parser.registerCsiHandler({ intermediates: "!", final: "p" }, () => {
      // A soft reset shows the cursor, and leaves the mouse alone.
      this.#set(25, true);
      return false;
    });
  }

  serialize(): string {
    return [...this.#differing]
      .map((mode) => `\u001B[?${mode}${FOLLOWED.get(mode) === true ? "l" : "h"}`)
      .join("");
  }

  #set(mode: number, on: boolean): void {
    const usual = FOLLOWED.get(mode);
    if (usual === undefined) return;
    if (on === usual) this.#differing.delete(mode);
    else this.#differing.add(mode);
  }
}
