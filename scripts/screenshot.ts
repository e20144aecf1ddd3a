/**
 * docs/multiplexer.svg, what README shows of the multiplexer: `node scripts/build.mjs && npx tsx scripts/screenshot.ts`.
 * A real project's real screen, read from a terminal of tmux; only its cells are drawn anew.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { lines } from "../client/tui/spans.ts";
import { BOLD, DIM, INVERSE, UNDERLINE, type Colour } from "../client/tui/style.ts";
import { glyphs } from "../client/tui/width.ts";
import { ROOT } from "../test/support/rig.ts";
import { TuiRig } from "../test/tui/rig.ts";

const FILE = join(ROOT, "docs", "multiplexer.svg");
const COLUMNS = 108;
const ROWS = 14;

const PROJECT = {
  "livedev.config.ts": `
import { $config, aws, DevCommand } from "livedev";
export default $config({
  app: () => ({ name: "bookshop", home: "local" }),
  async run() {
    const api = new aws.Function("Api", { handler: "src/api.handler", url: true });
    new aws.Function("Checkout", { handler: "src/checkout.handler" });
    new aws.Function("Mailer", { handler: "src/mailer.handler" });
    new aws.StaticSite("Web", { path: "web", environment: { API: api.url }, dev: { command: "sh site.sh" } });
    new DevCommand("Worker", { dev: { command: "sh worker.sh" } });
    new DevCommand("Studio", { dev: { command: "sh worker.sh", autostart: false } });
  },
});
`,
  "src/api.ts": "export const handler = async () => ({ statusCode: 200, body: 'books' });",
  "src/mailer.ts": `
export const handler = async ({ to }: { to?: string }) => {
  if (!to) throw new RangeError("no address");
  return "sent";
};
`,
  "src/checkout.ts": `
type Order = { basket?: { total: number } };
export const handler = async ({ basket }: Order) => {
  if (!basket) throw new Error("no basket");
  return { charged: basket.total };
};
`,
  "web/site.sh": "echo ready at $API; exec sleep 1000",
  "worker.sh": "echo waiting for orders; exec sleep 1000",
};

const PALETTE = "#484f58 #ff7b72 #3fb950 #d29922 #58a6ff #bc8cff #39c5cf #c9d1d9".split(" ");
const BRIGHT = "#6e7681 #ffa198 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #f0f6fc".split(" ");
const INK = "#c9d1d9";
const PAPER = "#0d1117";
const CELL = 8;
const ROW = 18;
const MARGIN = 14;

const colour = (of: Colour, own: string): string =>
  of < 0 ? own : ([...PALETTE, ...BRIGHT][of] ?? `#${(of & 0xffffff).toString(16).padStart(6, "0")}`);

/** Spaces that do not break: browsers do not agree on how SVG says that several in a row are kept. */
const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(" ", "\u00A0");

function drawn(rows: readonly string[]): string {
  const parts: string[] = [];
  for (const [y, row] of lines(rows.join("\n")).entries()) {
    const top = MARGIN + y * ROW;
    let column = 0;
    for (const { text, style } of row) {
      const width = glyphs(text).reduce((sum, glyph) => sum + glyph.width, 0);
      const x = MARGIN + column * CELL;
      const inverse = (style.flags & INVERSE) !== 0;
      const [ink, paper] = [colour(style.fg, INK), colour(style.bg, PAPER)];
      const under = inverse ? ink : paper;
      if (under !== PAPER)
        parts.push(`<rect x="${x}" y="${top}" width="${width * CELL}" height="${ROW}" fill="${under}"/>`);
      if (text.trim() !== "") {
        const looks = [
          `fill="${inverse ? paper : ink}"`,
          ...((style.flags & BOLD) === 0 ? [] : ['font-weight="bold"']),
          ...((style.flags & DIM) === 0 ? [] : ['opacity="0.65"']),
          ...((style.flags & UNDERLINE) === 0 ? [] : ['text-decoration="underline"']),
        ].join(" ");
        const begun = text.length - text.trimStart().length;
        const shown = text.trim();
        const cells = glyphs(shown).reduce((sum, glyph) => sum + glyph.width, 0);
        // The length says where each character stands, whichever font it is.
        parts.push(
          `<text x="${x + begun * CELL}" y="${top + 13}" textLength="${cells * CELL}" ${looks}>${escaped(shown)}</text>`,
        );
      }
      column += width;
    }
  }
  const [width, height] = [MARGIN * 2 + COLUMNS * CELL, MARGIN * 2 + ROWS * ROW];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13">
<title>livedev dev: the multiplexer with a project of three functions, a frontend and a service</title>
<rect width="100%" height="100%" rx="8" fill="${PAPER}"/>
${parts.join("\n")}
</svg>
`;
}

const ends: (() => unknown)[] = [];
try {
  const tui = TuiRig.open({ teardown: (end) => ends.push(end) }, PROJECT);
  const screen = await tui.screen({ columns: COLUMNS, rows: ROWS, env: { COLORTERM: "truecolor" } });
  await screen.until(/● Deploy +live[^]*● Worker +ready/);
  await using client = await tui.rig.connect();
  const invoke = (functionName: string, event: unknown) =>
    client.call("function.invoke", { functionName, event: JSON.stringify(event) });
  const { functions } = await client.call("daemon.status", {});
  await fetch(functions.find(({ name }) => name === "Api")?.url ?? "");
  for (const total of [20, 12]) await invoke("Checkout", { basket: { total } });
  await invoke("Mailer", { to: "ada@example.com" });
  for (let n = 0; n < 3; n += 1) await invoke("Api", { n });
  await invoke("Checkout", {});
  await screen.type("j", "Enter");
  await screen.until(/✗ error .* Checkout +Error: no basket/);
  // What it failed with is mended, and its event runs again.
  const built = new Promise<void>((resolve) => {
    void client.subscribe({ types: ["build.finished"] }, () => resolve());
  });
  tui.rig.edit("src/checkout.ts", 'throw new Error("no basket")', "return { charged: 0 }");
  await built;
  await screen.type("r");
  await screen.until(/Checkout {2}ok[^]*replay of +\d+/);
  await screen.type("Escape");
  await invoke("Mailer", {});
  await screen.until(/Functions +3│[^]*replay of \d+[^]*✗ error/);
  await screen.until(/^ +Mailer: RangeError/m);
  const rows = await screen.command("capture-pane -p -e -N");
  writeFileSync(FILE, drawn(rows));
} finally {
  for (const end of ends) await end();
}
