/** The package as a stranger gets it: packed, installed in an empty folder, used by the README alone. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import t, { type Test } from "tap";

import { inFull } from "../support/counts.ts";
import { processesIn, ROOT } from "../support/rig.ts";
import { block } from "./readme.ts";
import { pack, Stranger, type NodeFolder } from "./stranger.ts";

const work = mkdtempSync(join(tmpdir(), "ld-pack-"));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
const { tarball, files } = await pack(work);

// Four installs by npm.
t.setTimeout(600_000);

t.test("the tarball holds the programs, their declarations and the docs, and nothing else", (t) => {
  const strange = files.filter(
    (file) =>
      !/^dist\/[\w-]+\.(js|js\.map|mjs|cjs)$/.test(file) &&
      !/^dist\/pieces\/[\w-]+\.js$/.test(file) &&
      !/^dist\/types\/(client|proto)\/.*\.d\.ts$/.test(file) &&
      !/^docs\/[\w-]+\.(md|svg)$/.test(file) &&
      !/^(package\.json|README\.md|ARCHITECTURE\.md|CHANGELOG\.md|LICENSE|dist\/THIRD-PARTY-LICENSES\.txt)$/.test(
        file,
      ),
  );
  t.same(strange, []);
  for (const program of ["livedev.js", "livedevd.js", "daemon.js", "cloud.js", "stub.mjs", "runner.mjs"])
    t.ok(files.includes(`dist/${program}`), program);
  for (const file of [
    "docs/api.md",
    "dist/THIRD-PARTY-LICENSES.txt",
    "dist/types/client/sdk/index.d.ts",
    "dist/types/client/connect.d.ts",
  ])
    t.ok(files.includes(file), file);
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    dependencies: object;
  };
  t.strictSame(
    Object.keys(dependencies),
    ["@lydell/node-pty", "better-sqlite3", "esbuild", "ssh2", "zod"],
    "what is native, and what the declarations name: all else lies in dist/",
  );
  t.end();
});

/** init, start, invoke, edit, invoke, status, stop: what the README shows, in its order. */
async function journey(t: Test, stranger: Stranger): Promise<void> {
  const made = await stranger.npx("livedev", "init");
  t.equal(made.code, 0, made.stderr);
  t.match(made.stdout, "npx livedevd start");
  t.notMatch(made.stdout, "npm install", "it is installed already");

  const started = await stranger.npx("livedevd", "start");
  t.equal(started.code, 0, started.stderr);
  t.match(started.stdout, /MyApi {2}http:\/\/127\.0\.0\.1:\d+\//);

  await invokeEditInvoke(t, stranger);

  const status = await stranger.npx("livedev", "status");
  t.equal(status.code, 0);
  t.match(status.stdout, /^MyApi {2}ready {2}src\/api\.handler/m);
  await stop(t, stranger);
}

async function invokeEditInvoke(t: Test, stranger: Stranger): Promise<void> {
  const event = ["--event", '{"a":1}'];
  const first = await stranger.npx("livedev", "invoke", "MyApi", ...event);
  t.equal(first.code, 0, first.stderr);
  t.same(JSON.parse(first.stdout), { greeting: "Hello", event: { a: 1 } });

  const handler = stranger.read("src/api.ts");
  t.match(handler, 'const GREETING = "Hello"');
  stranger.save("src/api.ts", handler.replace('"Hello"', '"Hello again"'));
  const second = await stranger.npx("livedev", "invoke", "MyApi", ...event);
  t.same(JSON.parse(second.stdout), { greeting: "Hello again", event: { a: 1 } }, "the save is live");
}

/** Also the local cloud, which livedevd leaves running as AWS would; nothing is left then. */
async function stop(t: Test, stranger: Stranger): Promise<void> {
  const stopped = await stranger.npx("livedevd", "stop");
  t.equal(stopped.code, 0, stopped.stderr);
  t.match(stopped.stderr, "`livedev cloud stop`", "it says what goes on, and how that ends");
  const cloud = await stranger.npx("livedev", "cloud", "stop");
  t.equal(cloud.code, 0, cloud.stderr);
  if (process.platform === "linux") t.same(await processesIn(stranger.root), [], "no process is left");
  t.same(stranger.strayFiles(), [], "no file is left outside of the project");
}

/** Of init and of what ran since. */
function made(t: Test, stranger: Stranger): void {
  t.same(
    stranger.files().filter((path) => !path.endsWith("package-lock.json")),
    [
      ".gitignore",
      ".vscode",
      ".vscode/launch.json",
      "livedev-env.d.ts",
      "livedev.config.ts",
      "package.json",
      "src",
      "src/api.ts",
      "tsconfig.json",
    ],
    "in the project there is what init says that it made, and the types of its links",
  );
  t.match(stranger.read(".gitignore"), /^\.livedev\/$/m);
}

// With its scripts it takes a compiler's minute, for what is native in ssh2.
t.test(`in an empty folder, on the Node that runs (${process.version})`, { skip: inFull }, async (t) => {
  await using stranger = Stranger.open();
  const installed = await stranger.npm("install", "-D", "--prefer-offline", tarball);
  t.equal(installed.code, 0, installed.stderr);
  t.notMatch(installed.stderr, /EBADENGINE|deprecated (?!prebuild-install)/, "npm has nothing to warn of");
  await journey(t, stranger);
  made(t, stranger);
});

/** What an editor would say, by TypeScript 5 and 7, in each kind of project that users have. */
async function typeChecks(t: Test, stranger: Stranger): Promise<void> {
  const compilers = {
    "TypeScript 5": join(stranger.project, "node_modules", ".bin", "tsc"),
    "TypeScript 7": join(ROOT, "node_modules", ".bin", "tsc"),
  };
  const check = async (kind: string) => {
    for (const [name, compiler] of Object.entries(compilers)) {
      const { code, stdout } = await stranger.run(compiler, ["-p", "."]);
      t.equal(code, 0, `${name}, ${kind}\n${stdout}`);
    }
  };
  stranger.save("src/watch.mts", block("From scripts and editors", "ts"));
  await check("as init made it");

  const manifest = JSON.parse(stranger.read("package.json")) as Record<string, unknown>;
  const tsconfig = JSON.parse(stranger.read("tsconfig.json")) as { compilerOptions: Record<string, unknown> };
  Object.assign(tsconfig.compilerOptions, { module: "nodenext", moduleResolution: "nodenext" });
  stranger.save("tsconfig.json", JSON.stringify(tsconfig));
  await check("nodenext");
  stranger.save("package.json", JSON.stringify({ ...manifest, type: "module" }));
  await check(`nodenext, "type": "module"`);
}

t.test(
  "installed without scripts it names what is missing, and the command that mends it",
  { skip: inFull },
  async (t) => {
    await using stranger = Stranger.open();
    const options = ["-D", "--prefer-offline", "--ignore-scripts"];
    const installed = await stranger.npm("install", ...options, tarball, "typescript@5");
    t.equal(installed.code, 0, installed.stderr);
    t.notMatch(installed.stderr, /EBADENGINE|deprecated (?!prebuild-install)/, "npm has nothing to warn of");
    t.equal((await stranger.npx("livedev", "init")).code, 0);

    const sentence = "The native part of better-sqlite3 is not installed.\n";
    const hint = "Run `npm rebuild better-sqlite3 --ignore-scripts=false`.\n";
    const start = await stranger.npx("livedevd", "start");
    t.equal(start.code, 1);
    t.equal(start.stderr, sentence + hint, "livedevd start");

    // As an earlier install left it.
    stranger.save(`.livedev/${stranger.read(".livedev/stage").trim()}/history.db`, "SQLite format 3\0");
    const history = await stranger.npx("livedev", "history");
    t.equal(history.code, 1);
    t.equal(history.stderr, sentence + hint, "livedev history");
    rmSync(join(stranger.project, ".livedev"), { recursive: true });

    const doctor = await stranger.npx("livedev", "doctor");
    t.equal(doctor.code, 1);
    t.match(
      doctor.stdout,
      `✗ ${sentence}    npm rebuild better-sqlite3 --ignore-scripts=false\n`,
      "livedev doctor",
    );
    t.notMatch(doctor.stdout, /^ +at /m, "no stack");

    const command = /`(.*)`/.exec(start.stderr)?.[1] ?? "";
    const mended = await stranger.shell(command);
    t.equal(mended.code, 0, mended.stderr);
    const started = await stranger.npx("livedevd", "start");
    t.equal(started.code, 0, started.stderr);
    await invokeEditInvoke(t, stranger);
    await stop(t, stranger);
    made(t, stranger);
    await typeChecks(t, stranger);
  },
);

/** By the kinds of package.json that users have: `npm init -y` of today writes "commonjs". */
const OTHERS = { 22: "module", 24: "commonjs" } as const;

for (const [major, type] of Object.entries(OTHERS)) {
  const node = otherNode(major);
  t.test(
    `in a project of "type": "${type}", on Node ${major}`,
    {
      skip: node === undefined && `LIVEDEV_NODES names no folder with ${major}/bin/node (scripts/parts.sh)`,
    },
    async (t) => {
      await using stranger = Stranger.open(node);
      stranger.save("package.json", JSON.stringify({ name: "mine", version: "1.0.0", type }));
      const installed = await stranger.npm("install", "-D", "--prefer-offline", tarball);
      t.equal(installed.code, 0, installed.stderr);
      t.match((await stranger.npx("node", "--version")).stdout, new RegExp(`^v${major}\\.`));
      await journey(t, stranger);
    },
  );
}

function otherNode(major: string): NodeFolder {
  const nodes = process.env["LIVEDEV_NODES"];
  const folder = nodes === undefined ? undefined : join(nodes, major);
  return folder !== undefined && existsSync(join(folder, "bin", "node")) ? folder : undefined;
}
