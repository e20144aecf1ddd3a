/** What keys do just now, as many as there is room for: what matters most comes first. */
import { ACTIONS, keyShown, type Action, type Context, type Keymap } from "./keymap.ts";
import { lineWidth, span, type Line, type Span } from "./spans.ts";
import { STYLES } from "./style.ts";

const GROUPS: readonly { readonly actions: readonly Action[]; readonly label?: string }[] = [
  { actions: ["leave"] },
  { actions: ["open"] },
  { actions: ["up", "down"], label: "move" },
  { actions: ["left", "right"] },
  { actions: ["focus"] },
  { actions: ["back"] },
  { actions: ["start"] },
  { actions: ["stop"] },
  { actions: ["restart"] },
  { actions: ["plan"] },
  { actions: ["replay"] },
  { actions: ["edit"] },
  { actions: ["next", "previous"], label: "next, previous" },
  { actions: ["copy"] },
  { actions: ["search"] },
  { actions: ["byFunction"] },
  { actions: ["byStatus"] },
  { actions: ["reveal"] },
  { actions: ["scrollUp", "scrollDown"], label: "scroll" },
  { actions: ["select"] },
  { actions: ["clear"] },
  { actions: ["zoom"] },
];
/** Always to be seen. */
const LAST: readonly Action[] = ["help", "quit"];

/** In a pane that is alone, how the rest comes back. */
const ZOOMED = { actions: ["zoom"], label: "zoom out" } as const;

export type FooterOptions = {
  readonly keymap: Keymap;
  readonly context: Context;
  readonly can: (action: Action) => boolean;
  readonly columns: number;
  readonly zoomed: boolean;
};

export function footer({ keymap, context, can, columns, zoomed }: FooterOptions): Line {
  const item = (actions: readonly Action[], label?: string): Span[] => {
    const working = actions.filter((action) => keymap.keys(action, context).length > 0 && can(action));
    if (working.length === 0) return [];
    const keys = working.map((action) => keyShown(keymap.keys(action, context)[0] ?? ""));
    const first = working[0];
    const text = label ?? (first === undefined ? "" : ACTIONS[first].short);
    return [span(keys.join("/"), STYLES.bold), span(` ${text}  `, STYLES.dim)];
  };
  const last = LAST.flatMap((action) => item([action]));
  const out: Span[] = [];
  let left = columns - lineWidth(last);
  const groups = zoomed ? [ZOOMED, ...GROUPS.slice(0, -1)] : GROUPS;
  for (const { actions, label } of groups) {
    const one = item(actions, label);
    const width = lineWidth(one);
    if (width > left) continue;
    out.push(...one);
    left -= width;
  }
  return [...out, ...last];
}
