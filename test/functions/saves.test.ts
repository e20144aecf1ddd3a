/** Which save reaches which function, and that the last one wins. */
import { renameSync, rmSync, utimesSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

import t from "tap";

import { times } from "../support/counts.ts";
import { Rig } from "./rig.ts";

const SAYS = (word: string) => `export const handler = async () => ${JSON.stringify(word)};\n`;
const VIA = (module: string) =>
  `import { word } from ${JSON.stringify(module)};\nexport const handler = async () => word;\n`;
const WORD = (word: string) => `export const word = ${JSON.stringify(word)};\n`;

const rig = await Rig.open(t, { files: {}, functions: {} });
/** Looks at the files before each invocation. */
const strict = await Rig.open(t, { files: {}, functions: {}, limits: { verifyAfterMs: 0 } });

t.test("a save reaches the functions whose last build read the file, and no other", async (t) => {
  await rig.again({
    files: {
      "src/a.ts": VIA("./shared.ts"),
      "src/b.ts": VIA("./shared.ts"),
      "src/c.ts": SAYS("c"),
      "src/shared.ts": WORD("one"),
    },
    functions: {
      A: { handler: "src/a.handler" },
      B: { handler: "src/b.handler" },
      C: { handler: "src/c.handler" },
    },
  });
  t.equal(await rig.value("A"), "one");
  t.equal(await rig.value("B"), "one");
  t.equal(await rig.value("C"), "c");
  const before = rig.of("build.finished").length;
  rig.save("src/shared.ts", WORD("two"));
  t.equal(await rig.value("A"), "two");
  t.equal(await rig.value("B"), "two");
  rig.save("src/unrelated.ts", WORD("x"));
  t.equal(await rig.value("C"), "c");
  t.same(
    rig
      .of("build.finished")
      .slice(before)
      .map(({ functionName }) => functionName)
      .sort(),
    ["A", "B"],
  );
});

t.test("a file that the code does not read any more is none of its inputs any more", async (t) => {
  await rig.again({
    files: { "src/api.ts": VIA("./word.ts"), "src/word.ts": WORD("one") },
  });
  t.equal(await rig.value(), "one");
  rig.save("src/api.ts", SAYS("alone"));
  t.equal(await rig.value(), "alone");
  const builds = rig.of("build.finished").length;
  rig.save("src/word.ts", "this is no code");
  t.equal(await rig.value(), "alone");
  t.equal(rig.of("build.finished").length, builds);
  t.notOk(rig.functions.files().includes(rig.path("src/word.ts")));
});

t.test("after a failed build, a save of any file that it read reaches the function", async (t) => {
  await rig.again({
    files: { "src/api.ts": VIA("./word.ts"), "src/word.ts": "export const word = 1 +;\n" },
  });
  const broken = await rig.invoke();
  t.equal(broken.error.errorType, "Livedev.BuildFailed");
  t.match(broken.error.errorMessage, /^src\/word\.ts:1:\d+: Unexpected/);
  t.equal(broken.codeHash, undefined, "nothing was run");
  t.match(rig.of("build.failed"), [{ functionName: "Api", errors: [{ file: "src/word.ts", line: 1 }] }]);
  t.match(rig.state(), { state: "broken", errors: [{ file: "src/word.ts" }] });
  rig.save("src/word.ts", WORD("mended"));
  t.equal(await rig.value(), "mended");
});

t.test("the last good code is never run silently after a broken save", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("good") } });
  t.equal(await rig.value(), "good");
  rig.save("src/api.ts", "export const handler = async () => {\n  return 1 +;\n};\n");
  t.match((await rig.invoke()).error, {
    errorType: "Livedev.BuildFailed",
    errorMessage: /^src\/api\.ts:2:13: /,
    stackTrace: ["  return 1 +;"],
  });
  t.equal(rig.of("build.failed").length, 1, "and the error is told once");
});

t.test("of two saves 5 ms apart the last one wins", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("old") } });
  t.equal(await rig.value(), "old");
  for (let round = 0; round < times(10, 4); round++) {
    rig.saveAtOnce("src/api.ts", SAYS(`first-${round}`));
    const between = performance.now();
    while (performance.now() - between < 5) await turn();
    rig.saveAtOnce("src/api.ts", SAYS(`last-${round}`));
    t.equal(await rig.value(), `last-${round}`);
  }
});

t.test("a save at any moment of a build wins over that build", async (t) => {
  const files: Record<string, string> = { "src/word.ts": WORD("0") };
  const names = Array.from({ length: times(100, 40) }, (_, index) => `module${index}`);
  for (const name of names) files[`src/${name}.ts`] = `export const ${name} = ${"1 + ".repeat(200)}1;\n`;
  const imports = names.map((name) => `import { ${name} } from "./${name}.ts";\n`).join("");
  files["src/api.ts"] =
    `${imports}import { word } from "./word.ts";\nexport const handler = async () => ({ word, sum: ${names.join(" + ")} });\n`;
  await rig.again({ files });
  await rig.invoke();
  const { tookMs } = await rig.next("build.finished");
  const saves = times(20, 5);
  for (let save = 1; save <= saves; save++) {
    rig.saveAtOnce("src/api.ts", `${files["src/api.ts"]}// ${save}\n`);
    const began = performance.now();
    while (performance.now() - began < (tookMs / 2) * (save / saves)) await turn();
    rig.saveAtOnce("src/word.ts", WORD(String(save)));
    t.match(await rig.value(), { word: String(save) });
  }
});

t.test(
  "a save between two invocations that nobody was told of is found by stat after a second",
  async (t) => {
    const rig = strict;
    await rig.again({
      files: { "src/api.ts": SAYS("old") },
    });
    const old = await rig.invoke();
    t.equal(old.value, "old");
    rig.write("src/api.ts", SAYS("new"));
    const now = await rig.invoke();
    t.equal(now.value, "new");
    t.not(now.codeHash, old.codeHash, "each invocation's row holds the hash of the code that ran");
  },
);

t.test(
  "an event that waited for a place runs what was saved meanwhile, also where nobody was told",
  async (t) => {
    const rig = await Rig.open(t, {
      files: {
        "src/api.ts": SAYS("old"),
        "src/long.ts": `
        import { existsSync } from "node:fs";
        export const handler = async ({ gate }) => {
          console.log("begins");
          while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 5));
        };`,
      },
      functions: { Api: {}, Long: { handler: "src/long.handler" } },
      limits: { verifyAfterMs: 0, processes: 1 },
    });
    let begins = () => {};
    const begun = new Promise<void>((resolve) => (begins = resolve));
    const long = rig.invoke("Long", { gate: rig.path("gate") }, { logged: () => begins() });
    await begun;
    await rig.when(() => rig.state().state === "ready");
    const built = rig.of("build.finished").length;
    let queued = () => {};
    const waits = new Promise<void>((resolve) => (queued = resolve));
    const position = (state: string) => {
      if (state === "queued") queued();
    };
    const waiting = rig.invoke("Api", {}, { position });
    await waits;
    t.equal(rig.of("build.finished").length, built, "it waits for a place, its code is ready");
    rig.write("src/api.ts", SAYS("new"));
    rig.write("gate", "");
    await long;
    t.equal((await waiting).value, "new");
  },
);

t.test("a file that is replaced by an older one of the same size is seen all the same", async (t) => {
  const rig = strict;
  await rig.again({ files: { "src/api.ts": SAYS("old") } });
  t.equal(await rig.value(), "old");
  rig.write("backup.ts", SAYS("new"));
  utimesSync(rig.path("backup.ts"), 1_000_000, 1_000_000);
  renameSync(rig.path("backup.ts"), rig.path("src/api.ts"));
  t.equal(await rig.value(), "new");
});

t.test("a handler's file that is deleted is named, and one that is restored runs again", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("here") } });
  t.equal(await rig.value(), "here");
  rmSync(rig.path("src/api.ts"));
  rig.told("src/api.ts");
  t.match((await rig.invoke()).error, {
    errorType: "Livedev.BuildFailed",
    errorMessage: /The handler "src\/api\.handler" has no file: looked for src\/api\.\{ts,/,
  });
  rig.save("src/api.ts", SAYS("here"));
  t.equal(await rig.value(), "here");
});

t.test("an imported file that is deleted is named, and one that is restored runs again", async (t) => {
  await rig.again({
    files: { "src/api.ts": VIA("./word"), "src/word.ts": WORD("here") },
  });
  t.equal(await rig.value(), "here");
  rmSync(rig.path("src/word.ts"));
  rig.told("src/word.ts");
  t.match((await rig.invoke()).error, { errorMessage: /^src\/api\.ts:1:\d+: Could not resolve "\.\/word"/ });
  rig.save("src/word.js", WORD("elsewhere"));
  t.equal(await rig.value(), "elsewhere", "under another extension too");
  rig.save("src/word.ts", WORD("here"));
  t.equal(await rig.value(), "here", "and a file that goes before the one that was read");
});

t.test("a package that was missing is found when it appears, wherever it is installed", async (t) => {
  const rig = strict;
  await rig.again({ files: { "src/api.ts": VIA("greeting") } });
  t.match((await rig.invoke()).error, { errorMessage: /Could not resolve "greeting"/ });
  rig.write("node_modules/greeting/package.json", `{"name":"greeting","main":"index.js"}`);
  rig.write("node_modules/greeting/index.js", WORD("hello"));
  t.equal(await rig.value(), "hello");
  rig.write("node_modules/greeting/index.js", WORD("bye"));
  t.equal(await rig.value(), "bye", "installed code is seen by stat");
});

t.test("what settings files say is an input too", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": VIA("@lib/word"),
      "one/word.ts": WORD("one"),
      "two/word.ts": WORD("two"),
      "tsconfig.json": `{ "extends": "./config/base.json" } // with a comment`,
      "config/base.json": `{ "compilerOptions": { "paths": { "@lib/*": ["../one/*"] } } }`,
      "package.json": `{ "imports": { "#word": "./one/word.ts" } }`,
    },
    functions: { Api: {}, Imports: { handler: "src/imports.handler" } },
  });
  t.equal(await rig.value(), "one");
  rig.save("config/base.json", `{ "compilerOptions": { "paths": { "@lib/*": ["../two/*"] } } }`);
  t.equal(await rig.value(), "two", "an extended tsconfig");
  rig.save("tsconfig.json", `{ "compilerOptions": { "paths": { "@lib/*": ["./one/*"] } } }`);
  t.equal(await rig.value(), "one", "the tsconfig itself");
  rig.save("src/tsconfig.json", `{ "compilerOptions": { "paths": { "@lib/*": ["../two/*"] } } }`);
  t.equal(await rig.value(), "two", "one that appears, nearer");

  rig.save("src/imports.ts", VIA("#word"));
  t.equal(await rig.value("Imports"), "one");
  rig.save("package.json", `{ "imports": { "#word": "./two/word.ts" } }`);
  t.equal(await rig.value("Imports"), "two", "package.json");
});

t.test("an undo to code that was built before runs that code again", async (t) => {
  await rig.again({ files: { "src/api.ts": SAYS("one") } });
  const first = await rig.invoke();
  for (let round = 0; round < times(10, 4); round++) {
    rig.save("src/api.ts", SAYS("two"));
    if (round % 2 === 0) t.equal(await rig.value(), "two");
    rig.save("src/api.ts", SAYS("one"));
    const again = await rig.invoke();
    t.equal(again.value, "one");
    t.equal(again.codeHash, first.codeHash);
  }
});
