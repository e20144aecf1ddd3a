/** What the multiplexer is made of, without a daemon or a terminal: input, keys, layout, cells, search, views. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import t from "tap";

import { Canvas, Painter } from "../../client/tui/canvas.ts";
import { clipboardSequence } from "../../client/tui/clipboard.ts";
import { TextContent } from "../../client/tui/content.ts";
import { asCurl, quoted } from "../../client/tui/copies.ts";
import { DeployPane } from "../../client/tui/deploy-pane.ts";
import { Deployment } from "../../client/tui/deployment.ts";
import { footer } from "../../client/tui/footer.ts";
import { InputParser, type Input } from "../../client/tui/input.ts";
import {
  ACTION_NAMES,
  Keymap,
  keyShown,
  loadKeymap,
  normalized,
  type Context,
} from "../../client/tui/keymap.ts";
import { layout } from "../../client/tui/layout.ts";
import { keyBytes, mouseBytes, pasteBytes } from "../../client/tui/program-input.ts";
import { matches, nearest, step } from "../../client/tui/search.ts";
import { lines, lineText, span, spans, wrap, type Line } from "../../client/tui/spans.ts";
import { rgb, sgr, style, type Depth } from "../../client/tui/style.ts";
import type { System } from "../../client/tui/system.ts";
import { TunnelPane } from "../../client/tui/tunnel-pane.ts";
import { Viewer } from "../../client/tui/viewer.ts";
import { fit, glyphs, padded, textWidth } from "../../client/tui/width.ts";
import type { LivedevEvent } from "../../proto/events.ts";
import type { InvocationDetail, RpcResult } from "../../proto/rpc.ts";
import { ROOT } from "../support/rig.ts";

const ESC = "\u001B";

const names = (input: readonly Input[]) =>
  input.map((one) => (one.is === "key" ? one.name : one.is === "paste" ? `<${one.text}>` : one.does));

t.test("keys, as terminals send them", (t) => {
  const parsed = (text: string) => names(new InputParser().push(text));
  const same: readonly (readonly [sent: string, wanted: readonly string[]])[] = [
    ["aA/? é日🎉", ["a", "A", "/", "?", "space", "é", "日", "🎉"]],
    [
      "\r\t\u007F\b\u0001\u001A\u0000",
      ["enter", "tab", "backspace", "ctrl-h", "ctrl-a", "ctrl-z", "ctrl-space"],
    ],
    [`${ESC}[A${ESC}OB${ESC}[C${ESC}[D`, ["up", "down", "right", "left"]],
    [
      `${ESC}[H${ESC}OF${ESC}[1~${ESC}[4~${ESC}[5~${ESC}[6~`,
      ["home", "end", "home", "end", "pageup", "pagedown"],
    ],
    [`${ESC}[1;5C${ESC}[1;2A${ESC}[3;3~${ESC}[Z`, ["ctrl-right", "shift-up", "alt-delete", "shift-tab"]],
    [`${ESC}OP${ESC}[15~${ESC}[24~`, ["f1", "f5", "f12"]],
    [`${ESC}x${ESC}${ESC}[A`, ["alt-x", "alt-up"]],
    [`${ESC}${ESC}[<0;5;3M${ESC}${ESC}[200~a${ESC}[201~`, ["esc", "down", "esc", "<a>"]],
    // What a terminal says of itself, which nobody typed.
    [`${ESC}[?62;4c${ESC}]11;rgb:0/0/0${ESC}\\${ESC}P1+r${ESC}\\${ESC}[24;80Ra`, ["a"]],
    [
      `${ESC}[<0;5;3M${ESC}[<32;6;3M${ESC}[<0;6;3m${ESC}[<64;1;1M${ESC}[<65;1;1M`,
      ["down", "drag", "up", "wheelUp", "wheelDown"],
    ],
    [`${ESC}[200~two\nlines ${ESC}[A${ESC}[201~b`, [`<two\nlines ${ESC}[A>`, "b"]],
  ];
  for (const [sent, wanted] of same) {
    t.same(parsed(sent), wanted, JSON.stringify(sent));
    // As the network cuts it.
    const parser = new InputParser();
    const single = Array.from(sent).flatMap((one) => parser.push(one));
    t.same(names([...single, ...parser.flush()]), wanted, `${JSON.stringify(sent)}, byte by byte`);
  }
  const parser = new InputParser();
  t.same(parser.push(ESC), []);
  t.ok(parser.waits, "it may be the beginning of one");
  t.same(names(parser.flush()), ["esc"]);
  t.end();
});

t.test("what a program at a terminal gets for it", (t) => {
  const modes = { applicationCursor: true, bracketedPaste: true, tracking: "drag", sgrMouse: true } as const;
  const key = (raw: string) => ({ is: "key", name: "", raw }) as const;
  t.equal(keyBytes(key(`${ESC}[A`), modes), `${ESC}OA`);
  t.equal(keyBytes(key(`${ESC}OA`), { applicationCursor: false }), `${ESC}[A`);
  t.equal(keyBytes(key(`${ESC}[5~`), modes), `${ESC}[5~`);
  const paste = { is: "paste", text: `a\r\nb${ESC}[201~c` } as const;
  t.equal(pasteBytes(paste, modes), `${ESC}[200~a\rb[201~c${ESC}[201~`, "it cannot end the pasting itself");
  t.equal(pasteBytes({ is: "paste", text: "a\nb" }, { bracketedPaste: false }), "a\rb");
  const mouse = { is: "mouse", does: "down", button: 0, x: 4, y: 2, modifiers: 0 } as const;
  t.equal(mouseBytes(mouse, modes), `${ESC}[<0;5;3M`);
  t.equal(mouseBytes({ ...mouse, does: "move" }, modes), "", "only what was asked for");
  t.equal(mouseBytes({ ...mouse, does: "up" }, { ...modes, sgrMouse: false }), `${ESC}[M#%#`);
  t.equal(mouseBytes({ ...mouse, x: 400 }, { ...modes, sgrMouse: false }), "", "no number for it");
  t.equal(mouseBytes(mouse, { ...modes, tracking: "none" }), "");
  t.end();
});

t.test("each action has a key in each of its places, and the user's own go first", (t) => {
  const standard = new Keymap();
  const contexts: readonly Context[] = [
    "process",
    "deploy",
    "functions",
    "tunnel",
    "program",
    "invocations",
    "invocation",
    "selecting",
  ];
  for (const action of ACTION_NAMES) t.ok(standard.keys(action).length > 0, action);
  t.same(
    contexts.map((context) => standard.action(context, "r")),
    ["restart", "plan", undefined, undefined, undefined, "replay", "replay", undefined],
  );
  t.equal(standard.action("program", "q"), undefined, "a program has its own q");

  const folder = mkdtempSync(join(tmpdir(), "ld-keys-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "keys.json");
  const load = (text: string) => {
    writeFileSync(file, text);
    return loadKeymap(file);
  };
  const mine = load(
    '\uFEFF{ "$schema": "x", "leave": "Ctrl-]", "quit": ["Q", "c-C"], "zoom": [], "search": "r" }',
  );
  t.equal(mine.action("program", "ctrl-]"), "leave");
  t.equal(mine.action("program", "ctrl-z"), undefined);
  t.same(mine.keys("quit"), ["Q", "ctrl-c"]);
  t.same(mine.keys("zoom"), []);
  t.equal(mine.action("process", "r"), "search", "taken from restart");
  t.same(mine.keys("restart"), []);
  t.equal(loadKeymap(join(folder, "none.json")).action("deploy", "q"), "quit", "no file is no error");
  const wrong: readonly (readonly [text: string, why: RegExp])[] = [
    ["{", /it is no JSON/],
    ["[]", /it must be an object/],
    ['{"scroll-up": "a"}', /there is no action "scroll-up": did you mean "scrollUp"\?/],
    ['{"fly": "a"}', /there is no action "fly"; there are up, down/],
    ['{"zoom": "hyper-x"}', /"hyper-x" of zoom is no key/],
    ['{"zoom": 3}', /3 of zoom is no key/],
    ['{"quit": []}', /no key is left for quit/],
    ['{"leave": []}', /no key is left for leave/],
    ['{"zoom": "a", "help": "a"}', /help and zoom both want the key a/],
  ];
  for (const [text, why] of wrong) t.throws(() => load(text), { code: "keys.invalid", message: why }, text);
  t.throws(() => load("{"), { message: file }, "it names the file");
  const keys: readonly (readonly [written: string, name: string | undefined])[] = [
    ["PgUp", "pageup"],
    ["Return", "enter"],
    ["C-x", "ctrl-x"],
    ["ctrl+alt+left", "alt-ctrl-left"],
    ["shift-a", "A"],
    ["ctrl-i", "tab"],
    ["-", "-"],
    ["ctrl--", undefined],
    [" ", "space"],
    ["F12", "f12"],
    ["f13", undefined],
    ["ab", undefined],
    ["", undefined],
  ];
  for (const [written, name] of keys) t.equal(normalized(written), name, JSON.stringify(written));
  t.end();
});

t.test("docs/multiplexer.md has each action, with its keys", (t) => {
  const rows = readFileSync(join(ROOT, "docs", "multiplexer.md"), "utf8").matchAll(
    /^\| (`\w+`(?:, `\w+`)*) \| ([^|]+) \|/gm,
  );
  const quotedIn = (text: string) => Array.from(text.matchAll(/`([^`]+)`/g), ([, one = ""]) => one);
  const told = Array.from(rows).flatMap(([, first = "", second = ""]) => {
    const actions = quotedIn(first);
    const keys = actions.length === 1 ? [second] : second.split(",");
    return actions.map((action, at) => [action, quotedIn(keys[at] ?? "")] as const);
  });
  const standard = new Keymap();
  t.same(
    Object.fromEntries(told),
    Object.fromEntries(ACTION_NAMES.map((action) => [action, standard.keys(action).map(keyShown)])),
  );
  t.end();
});

t.test("the footer shows what works now, as much as there is room for", (t) => {
  const shown = (columns: number, can: (action: string) => boolean, zoomed = false) =>
    lineText(footer({ keymap: new Keymap(), context: "process", can, columns, zoomed })).trim();
  t.equal(
    shown(80, (one) => one === "quit" || one === "start"),
    "s start  q quit",
  );
  t.equal(
    shown(20, () => true),
    "? keys  q quit",
  );
  for (const columns of [1, 12, 30, 60, 200])
    t.ok(shown(columns, () => true).length <= Math.max(14, columns));
  t.match(
    shown(80, () => true, true),
    /^z zoom out/,
  );
  t.end();
});

t.test("everything has its place at any size", (t) => {
  for (const focus of ["sidebar", "pane"] as const)
    for (const zoomed of [false, true])
      for (const columns of [1, 2, 10, 49, 50, 80, 400])
        for (const rows of [1, 2, 3, 5, 24, 100]) {
          const { sidebar, border, title, pane, footer } = layout({ columns, rows, zoomed, focus });
          const what = `${columns}x${rows} ${focus} ${zoomed}`;
          for (const rect of [sidebar, title, pane, footer]) {
            if (rect === undefined) continue;
            t.ok(rect.columns >= 1 && rect.rows >= 1, what);
            t.ok(rect.x + rect.columns <= columns && rect.y + rect.rows <= rows, what);
          }
          t.equal(border !== undefined, columns >= 50 && !zoomed, what);
          if (border !== undefined) t.ok(sidebar?.columns === border && pane.x === border + 1, what);
        }
  const narrow = (focus: "sidebar" | "pane") => layout({ columns: 30, rows: 10, zoomed: false, focus });
  t.same(narrow("sidebar").pane, narrow("pane").pane, "a program is not resized by the way to it and back");
  t.end();
});

t.test("only rows that are others are drawn, and each character where it belongs", (t) => {
  const painter = new Painter(8);
  const canvas = new Canvas(10, 3);
  const paint = (cursor?: { x: number; y: number }) => painter.paint(canvas, cursor);
  const frame = (text: string) => `${ESC}[?2026h${ESC}[?25l${text}${ESC}[?2026l`;
  canvas.write(0, 0, [span("one")]);
  t.equal(paint(), frame(`${ESC}[0m${ESC}[2J${ESC}[1;1Hone${ESC}[K`));
  t.equal(paint(), "", "the same again is nothing");
  canvas.write(0, 2, [span("red", style(1))]);
  t.equal(paint(), frame(`${ESC}[3;1H${ESC}[0;31mred${ESC}[0m${ESC}[K`));
  t.equal(paint({ x: 2, y: 1 }), frame(`${ESC}[2;3H${ESC}[?25h`), "the cursor alone");
  canvas.write(0, 1, [span("日é|")]);
  t.equal(
    paint(),
    frame(`${ESC}[2;1H日${ESC}[3Gé${ESC}[4G|${ESC}[K`),
    "whatever a terminal makes of its width",
  );
  canvas.write(1, 1, [span("x")]);
  t.equal(canvas.textAt(1).trimEnd(), " xé|", "half a wide one is none");
  canvas.write(9, 0, [span("日")]);
  t.equal(canvas.textAt(0), "one       ", "what has no room is not begun");
  canvas.clear();
  t.match(paint(), `${ESC}[1;1H${ESC}[K`);
  painter.forget();
  canvas.write(0, 0, [span("again")]);
  t.match(paint(), "again", "a terminal that holds nothing gets all of it");
  const wide = new Canvas(4, 1);
  t.match(painter.paint(wide, undefined), `${ESC}[2J`, "so does one of another size");
  t.end();
});

t.test("colours, as many as there are", (t) => {
  const of = (colour: number, depth: Depth) => sgr(colour, -1, 1, depth);
  t.equal(of(rgb(1, 2, 3), 24), `${ESC}[0;1;38;2;1;2;3m`);
  t.equal(of(rgb(255, 135, 0), 8), `${ESC}[0;1;38;5;208m`);
  t.equal(of(rgb(128, 128, 128), 8), `${ESC}[0;1;38;5;244m`, "a grey of the greys");
  t.equal(of(rgb(255, 0, 0), 4), `${ESC}[0;1;91m`);
  t.equal(of(208, 4), `${ESC}[0;1;91m`);
  t.equal(of(9, 4), `${ESC}[0;1;91m`);
  t.equal(of(208, 1), `${ESC}[0;1m`, "none, but what is bold stays bold");
  t.end();
});

t.test("wide characters, marks, and what joins to its neighbours", (t) => {
  t.equal(textWidth("日本🎉"), 6);
  t.equal(textWidth("e\u0301"), 1);
  t.same(glyphs(`e\u0301${"\u0300".repeat(9)}`).length, 1);
  t.ok(
    (glyphs(`e${"\u0300".repeat(9)}`)[0]?.text.length ?? 9) <= 4,
    "marks without end run over no other line",
  );
  t.equal(
    glyphs("a\u200D\u202Eb\u2066\uFE0F\u0007")
      .map(({ text }) => text)
      .join(""),
    "ab",
  );
  t.equal(fit("日本語", 4), "日…");
  t.equal(padded("日本語", 4), "日… ");
  const wrapped = wrap([span("日本語 and more")], 5).map(lineText);
  t.same(wrapped, ["日本", "語 an", "d mor", "e"]);
  for (const one of wrap([span("日")], 1)) t.equal(lineText(one), "日", "what is wider than all there is");
  t.end();
});

t.test("of others' text only colours pass", (t) => {
  const hostile = `a${ESC}]0;title\u0007b${ESC}[2Jc${ESC}[31md\u009B2Je\rf\u0000`;
  const [line = []] = lines(hostile);
  t.equal(lineText(line), "a␛]0;title␇b␛[2Jcd\uFFFD2Jef␀");
  t.same(line.at(-1)?.style.fg, 1);
  t.equal(lineText(spans("two\nlines")), "two␊lines");
  const [hidden = []] = lines(`${ESC}[8;38;2;1;2;3msecret`);
  t.same(hidden[0]?.style, style(rgb(1, 2, 3)), "nothing is hidden by what it says of itself");
  t.equal(clipboardSequence("é"), `${ESC}]52;c;w6k=\u0007`);
  t.end();
});

t.test("searching goes by case only where a capital is typed", (t) => {
  t.same(matches(["Row row", "none", "row"], "row"), [
    { line: 0, from: 0, to: 3 },
    { line: 0, from: 4, to: 7 },
    { line: 2, from: 0, to: 3 },
  ]);
  t.equal(matches(["Row row"], "Row").length, 1);
  t.same(matches(["aaaa"], "aa").length, 2, "no match is in another");
  t.same(matches(["a"], ""), []);
  const found = matches(["x", "", "x", "", "x"], "x");
  t.equal(nearest(found, 3), 1);
  t.equal(nearest(found.slice(1), 0), 0);
  t.same([step(2, 1, 3), step(0, -1, 3), step(0, 1, 0)], [0, 2, 0]);
  t.end();
});

t.test("a window on text: where it is wrapped, it is one line for who searches and copies", (t) => {
  const text = Array.from("abcdefghij", (letter) => letter.repeat(12));
  const viewer = new Viewer({ atEnd: false });
  const canvas = new Canvas(8, 4);
  const rect = { x: 0, y: 0, columns: 8, rows: 4 };
  const rows = () => {
    canvas.clear();
    viewer.draw(canvas, rect);
    return [0, 1, 2, 3].map((y) => canvas.textAt(y).trimEnd());
  };
  viewer.show(
    new TextContent(
      text.map((one) => [span(one)]),
      8,
    ),
  );
  t.same(rows(), ["aaaaaaaa", "aaaa", "bbbbbbbb", "bbbb"]);
  t.notOk(viewer.can("scrollUp"));
  viewer.search("eeeeeeeeee");
  t.equal(viewer.found, "1/1 eeeeeeeeee");
  t.same(rows(), ["dddddddd", "dddd", "eeeeeeee", "eeee"], "in the middle");
  viewer.act("last");
  t.same(rows(), ["iiiiiiii", "iiii", "jjjjjjjj", "jjjj"]);
  viewer.press(0, 0);
  viewer.drag(1, 3);
  t.equal(viewer.take(), "iiiiiiiiiiii\njjjjjjjjjj");
  t.equal(viewer.visible, "iiiiiiiiiiii\njjjjjjjjjjjj");
  viewer.press(3, 1);
  t.equal(viewer.take(), "", "a click selects nothing");
  t.end();
});

/** As the pane draws it. */
const textOf = (all: readonly Line[]): string => all.map(lineText).join("\n");

t.test("the deployment: what is to come, what is done, how it ended", (t) => {
  const deployment = new Deployment();
  const status = {
    app: "a",
    stage: "dev",
    home: "local",
    live: { state: "deploying" },
    bridge: {},
    config: { state: "ready" },
  };
  const system = { deployment, status, awaySince: undefined } as unknown as System;
  const pane = new DeployPane({ system, byHand: () => ({ is: "nothing" }), plan: () => {} });
  const take = (event: Record<string, unknown>) => deployment.take(event as unknown as LivedevEvent, 0);
  const step = (kind: string, resource: string) => ({ step: kind, resource, drift: false, changes: [] });
  t.equal(textOf(pane.lines()), "deploying");
  t.notOk(pane.can("plan"), "one at a time");
  take({
    type: "deploy.started",
    steps: 3,
    plan: [step("create", "A"), step("update", "B"), step("delete", "C")],
  });
  take({ type: "deploy.stepped", step: "create", resource: "A", tookMs: 1500 });
  t.match(textOf(pane.lines()), "Deploying, 1 of 3\n✓ create A  1.5 s\n· update B\n· delete C");
  take({ type: "deploy.failed", message: "no right to\nupdate B" });
  const failed = textOf(pane.lines());
  t.match(failed, /Failed at [\d: -]+\n✓ create A {2}1\.5 s\n· update B\n· delete C\nno right to\nupdate B/);
  take({ type: "deploy.started", steps: 1, plan: [step("update", "B"), step("delete", "C")] });
  take({ type: "deploy.stepped", step: "update", resource: "B", tookMs: 20 });
  take({ type: "deploy.finished", tookMs: 30, urls: { Api: "http://127.0.0.1:1/" } });
  t.match(textOf(pane.lines()), /Deployed at [\d: -]+ in 30 ms\n✓ update B {2}20 ms\n\nOutputs\nApi {2}http/);
  t.end();
});

t.test("the tunnel: what goes through it, its ports, and who else has one of them", (t) => {
  const traffic = { open: 1, opened: 12, bytesIn: 2048, bytesOut: 3 * 1024 * 1024 };
  const tunnel = {
    state: "up",
    host: "bastion.example.com",
    since: 0,
    address: "10.0.0.9:7401",
    inward: traffic,
    outward: traffic,
    ports: [
      { name: "Db", host: "db.internal", port: 5432, local: 15432 },
      { name: "Cache", host: "cache.internal", port: 6379, local: 16379, takenBy: "redis-server (pid 7)" },
    ],
  } as unknown as RpcResult<"tunnel.status">;
  const pane = new TunnelPane({ tunnel, refresh() {} } as unknown as System);
  t.match(lineText(pane.title()), /^Tunnel {2}up {2}bastion\.example\.com since/);
  const text = textOf(pane.lines());
  t.match(text, "stubs reach it at 10.0.0.9:7401");
  t.match(text, /from stubs +1 open, 12 in all, 2\.0 KB in, 3\.0 MB out/);
  t.match(text, "127.0.0.1:15432  Db  db.internal:5432");
  t.match(text, "Cache  cache.internal:6379  taken by redis-server (pid 7)");
  t.equal(lineText(pane.summary ?? []), "● Tunnel");
  t.end();
});

t.test("an event as curl", (t) => {
  const of = (event: unknown, url?: string) =>
    asCurl(
      {
        functionName: "Api",
        event: { text: JSON.stringify(event), bytes: 1, sealed: false },
      } as unknown as InvocationDetail,
      {
        fn: {
          ...(url !== undefined && { url }),
          functionArn: "arn:aws:lambda:eu-west-1:1:function:app-dev-Api",
        },
        endpoint: undefined,
      },
    );
  const http = (more: Record<string, unknown>) => ({
    rawPath: "/a%20b",
    rawQueryString: "q=1",
    requestContext: { http: { method: "POST" } },
    headers: { host: "shop.example.com", "x-it": "it's", "content-length": "3" },
    cookies: ["a=1", "b=2"],
    ...more,
  });
  t.equal(
    of(http({ body: "x y" })),
    `curl -X POST 'https://shop.example.com/a%20b?q=1' -H 'x-it: it'\\''s' -H 'cookie: a=1; b=2' --data-raw 'x y'`,
  );
  t.match(
    of(http({ body: "/wA=", isBase64Encoded: true })),
    /^printf %s \/wA= \| base64 -d \| curl .* --data-binary @-$/,
  );
  t.equal(
    of(
      {
        httpMethod: "GET",
        path: "/v1",
        multiValueQueryStringParameters: { a: ["1", "2"] },
        multiValueHeaders: { accept: ["x", "y"] },
      },
      "http://127.0.0.1:9/",
    ),
    `curl 'http://127.0.0.1:9/v1?a=1&a=2' -H 'accept: x' -H 'accept: y'`,
  );
  t.match(
    of({ n: 1 }),
    /^curl --aws-sigv4 aws:amz:eu-west-1:lambda .* https:\/\/lambda\.eu-west-1\.amazonaws\.com\/2015-03-31\/functions\/app-dev-Api\/invocations /,
  );
  t.equal(quoted("a'b"), `'a'\\''b'`);
  t.end();
});
