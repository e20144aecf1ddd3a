/** What a handler may be written as, and how its errors read. */
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import t from "tap";

import { Rig } from "./rig.ts";

const formats = { esm: { nodejs: { format: "esm" } }, cjs: { nodejs: { format: "cjs" } } } as const;

const rig = await Rig.open(t, { files: {}, functions: {} });

for (const format of ["esm", "cjs"] as const) {
  t.test(
    `handlers bundled as ${format}: async, callback, a CommonJS file, a path into an export`,
    async (t) => {
      await rig.again({
        files: {
          "src/async.ts": `export const handler = async (event: { n: number }) => event.n + 1;`,
          "src/callback.ts": `export function handler(event, context, callback) { callback(null, context.awsRequestId); }`,
          "src/old.cjs": `exports.handler = async () => typeof require + typeof __dirname;`,
          "src/dotted.v2.ts": `export const api = { handler: async () => "nested" };`,
          "src/top.mts": `export const handler = async () => import.meta.url !== undefined && "top";`,
        },
        functions: {
          Async: { handler: "src/async.handler", ...formats[format] },
          Callback: { handler: "src/callback.handler", ...formats[format] },
          Old: { handler: "src/old.handler", ...formats[format] },
          Dotted: { handler: "src/dotted.v2.api.handler", ...formats[format] },
          Top: { handler: "src/top.handler", ...formats.esm },
        },
      });
      t.equal(await rig.value("Async", { n: 1 }), 2);
      t.match(await rig.value("Callback"), /^request-/);
      t.equal(await rig.value("Old"), "functionstring");
      t.equal(await rig.value("Dotted"), "nested");
      t.equal(await rig.value("Top"), "top");
    },
  );

  t.test(
    `an error of ${format} code has Lambda's shape and the lines of the TypeScript source`,
    async (t) => {
      await rig.again({
        files: {
          "src/api.ts": `import { fail } from "./deep/fail.ts";\n\nexport const handler = async () => fail();\n`,
          "src/deep/fail.ts": `type Reason = string;\n\nclass Refused extends Error {\n  override name = "Refused";\n}\n\nexport function fail(why: Reason = "no") {\n  throw new Refused(why);\n}\n`,
        },
        functions: { Api: formats[format] },
      });
      const { answer, error } = await rig.invoke();
      t.match(answer, { kind: "buffered", status: "error", errorType: "Refused", cause: "handler" });
      t.match(error, { errorType: "Refused", errorMessage: "no" });
      const trace = (error as unknown as { trace: string[] }).trace.join("\n");
      t.match(trace, /at fail \(.*\/src\/deep\/fail\.ts:8:9\)/);
      t.match(trace, /src\/api\.ts:3:3\d\b/);
    },
  );
}

t.test("an error of init code is answered each time, until it is mended", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `console.log("loading");\nthrow new TypeError("no settings");\nexport const handler = async () => 1;\n`,
    },
  });
  for (let round = 0; round < 2; round++) {
    const { answer, error, lines } = await rig.invoke();
    t.match(answer, { status: "error", cause: "init", errorType: "TypeError" });
    t.match(error, { errorMessage: "no settings", trace: [/TypeError/, /src\/api\.ts:2:7/] });
    t.match(lines, [{ stream: "stdout", text: "loading" }], "with what it printed");
  }
  await rig.when(() => rig.of("worker.exited").length === 2);
  rig.save("src/api.ts", `export const handler = async () => "fine";`);
  t.equal(await rig.value(), "fine");
});

t.test("init code that ends the process is answered with how", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `console.error("last words");\nprocess.exit(3);\nexport const handler = async () => 1;`,
    },
  });
  t.match(await rig.invoke(), {
    answer: { cause: "init", errorType: "Runtime.ExitError" },
    error: { errorMessage: "Error: Runtime exited with error: exit status 3", stackTrace: ["last words"] },
  });
});

t.test("a handler that the file does not export is named at the build", async (t) => {
  await rig.again({
    files: { "src/api.ts": `export const other = 1;\nexport async function main() {}` },
    functions: { Api: {}, Cjs: formats.cjs, Nothing: { handler: "src/api" }, Ruby: { runtime: "ruby3.3" } },
  });
  const sentence = 'src/api.ts: There is no export named "handler". It exports: main, other.';
  t.equal((await rig.invoke()).error.errorMessage, sentence);
  t.match((await rig.invoke("Cjs")).error.errorMessage, /There is no export named "handler"/);
  t.match((await rig.invoke("Nothing")).error.errorMessage, /"src\/api" names no export/);
  t.match((await rig.invoke("Ruby")).error.errorMessage, /ruby3\.3 cannot run here/);
});

t.test("a split bundle loads its parts when they are first wanted", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `export const handler = async () => (await import("./late/index.ts")).word;`,
      "src/late/index.ts": `export const word = "late"; export const handler = 1;`,
    },
    functions: { Api: { nodejs: { splitting: true } } },
  });
  t.equal(await rig.value(), "late");
  const built = await readdir(join(rig.outDir, "Api", rig.state().codeHash ?? ""));
  t.ok(built.filter((name) => name.endsWith(".mjs")).length > 1);
  rig.save("src/late/index.ts", `export const word = "later"; export const handler = 1;`);
  t.equal(await rig.value(), "later");
});

t.test("the build settings of the config are esbuild's", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `import text from "./page.html";\nimport bytes from "./pixel.bin";\ndeclare const VERSION: string, banner: string;\nexport const handler = async () => [text, [...bytes], VERSION, banner];`,
      "src/page.html": "<p>hello</p>",
      "src/pixel.bin": "ab",
    },
    functions: {
      Api: {
        nodejs: {
          loader: { ".html": "text", ".bin": "binary" },
          banner: `const banner = "top";`,
          esbuild: { define: { VERSION: `"7"` } },
        },
      },
    },
  });
  t.same(await rig.value(), ["<p>hello</p>", [97, 98], "7", "top"]);
  rig.save("src/page.html", "<p>bye</p>");
  t.match(await rig.value(), ["<p>bye</p>"]);
  rig.apply({ Api: { nodejs: { loader: { ".html": "text", ".bin": "nothing" } } } });
  t.match((await rig.invoke()).error, { errorType: "Livedev.BuildFailed", errorMessage: /nothing/ });
});

t.test("names for the build's files that the config gives to esbuild do not break its output", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `import { readFileSync } from "node:fs";\nimport { join } from "node:path";\nimport file from "./page.html";\nexport const handler = async () => readFileSync(join(__dirname, file), "utf8") + (await import("./late.ts")).word;`,
      "src/late.ts": `export const word = "late";`,
      "src/page.html": "hello ",
    },
    functions: {
      Api: {
        nodejs: {
          splitting: true,
          loader: { ".html": "file" },
          esbuild: {
            assetNames: "assets/[name]",
            chunkNames: "chunks/[name]",
            entryNames: "[dir]/[name]",
            outExtension: { ".js": ".js" },
          },
        },
      },
    },
  });
  t.equal(await rig.value(), "hello late");
});

t.test("an installed package stays outside the bundle, with its own files", async (t) => {
  await rig.again({
    files: {
      "src/api.ts": `import { own } from "heavy";\nexport const handler = async () => own();`,
      "node_modules/heavy/package.json": `{ "name": "heavy", "main": "main.js" }`,
      "node_modules/heavy/main.js": `exports.own = () => require("fs").readFileSync(require("path").join(__dirname, "data.txt"), "utf8");`,
      "node_modules/heavy/data.txt": "its own",
    },
    functions: {
      Api: { nodejs: { install: ["heavy"] } },
      Cjs: { nodejs: { install: ["heavy"], format: "cjs" } },
    },
  });
  t.equal(await rig.value(), "its own");
  t.equal(await rig.value("Cjs"), "its own");
});

t.test("a native add-on is copied beside the bundle", async (t) => {
  const addon = join(
    dirname(createRequire(import.meta.url).resolve("better-sqlite3/package.json")),
    "build/Release/better_sqlite3.node",
  );
  if (!existsSync(addon))
    throw new Error(`${addon} is missing: was better-sqlite3 installed without its binary?`);
  await rig.again({
    files: {
      "src/api.ts": `import addon from "./native.node";\nexport const handler = async () => Object.keys(addon).includes("Database");`,
    },
    functions: { Api: {}, Cjs: formats.cjs },
  });
  await mkdir(rig.path("src"), { recursive: true });
  await copyFile(addon, rig.path("src/native.node"));
  rig.told("src/native.node");
  t.equal(await rig.value(), true);
  t.equal(await rig.value("Cjs"), true);
});

t.test("bytes of an event reach the handler as they are, and of an answer too", async (t) => {
  await rig.again({
    files: { "src/api.ts": `export const handler = async (event) => ({ é: event.é + "\\u0000😀" });` },
  });
  const { answer } = await rig.invoke("Api", Buffer.from(' { "é" : "ü" } '));
  t.equal(answer.kind === "buffered" && Buffer.from(answer.body).toString(), '{"é":"ü\\u0000😀"}');
});
