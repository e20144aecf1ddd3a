import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import t from "tap";

const ROOT = join(import.meta.dirname, "../..");

/** A planted file and the import that must not stand in it. */
const VIOLATIONS: readonly (readonly [file: string, specifier: string])[] = [
  ["proto/planted.ts", "node:fs"],
  ["proto/planted.ts", "zod"],
  ["proto/planted.ts", "../daemon/lib/errors.ts"],
  ["stub/planted.ts", "../proto/rpc.ts"],
  ["stub/planted.ts", "../daemon/lib/errors.ts"],
  ["client/planted.ts", "../daemon/daemon.ts"],
  ["client/planted.ts", "../proto/rpc.ts"],
  ["client/planted.ts", "better-sqlite3"],
  ["client/cli/planted.ts", "../../daemon/lib/errors.ts"],
  ["client/cli/planted.ts", "../../stub/main.ts"],
  ["client/cli/planted.ts", "../tui/tui.ts"],
  ["client/cli/planted.ts", "@xterm/headless"],
  ["client/tui/planted.ts", "../cli/program.ts"],
  ["client/tui/planted.ts", "../console/console.ts"],
  ["client/tui/planted.ts", "../../daemon/processes/terminal.ts"],
  ["client/tui/planted.ts", "../../proto/rpc.ts"],
  ["client/tui/planted.ts", "@lydell/node-pty"],
  ["client/tui/planted.ts", "commander"],
  ["client/console/planted.ts", "../tui/tui.ts"],
  ["client/console/planted.ts", "../../daemon/rpc/rpc.ts"],
  ["client/console/planted.ts", "../../proto/rpc.ts"],
  ["client/console/planted.ts", "fastify"],
  ["client/console/planted.ts", "@xterm/headless"],
  ["client/editor/planted.ts", "../cli/program.ts"],
  ["client/editor/planted.ts", "../../daemon/debug/debug.ts"],
  ["client/editor/planted.ts", "../../proto/rpc.ts"],
  ["client/editor/planted.ts", "commander"],
  ["client/sdk/planted.ts", "../connect.ts"],
  ["client/sdk/planted.ts", "../../proto/frames.ts"],
  ["client/sdk/planted.ts", "ws"],
  ["daemon/lib/planted.ts", "../store/store.ts"],
  ["daemon/lib/planted.ts", "better-sqlite3"],
  ["daemon/runtime/planted.ts", "../functions/functions.ts"],
  ["daemon/runtime/runner/planted.ts", "../environment.ts"],
  ["daemon/runtime/runner/planted.ts", "../../lib/errors.ts"],
  ["daemon/runtime/runner/planted.ts", "pino"],
  ["daemon/aws/planted.ts", "../deploy/deploy.ts"],
  ["daemon/functions/planted.ts", "../store/store.ts"],
  ["daemon/functions/planted.ts", "../aws/aws.ts"],
  ["daemon/functions/planted.ts", "../daemon.ts"],
  ["daemon/functions/planted.ts", "chokidar"],
  ["daemon/bridge/planted.ts", "../runtime/environment.ts"],
  ["daemon/bridge/planted.ts", "../../stub/main.ts"],
  ["daemon/bridge/planted.ts", "esbuild"],
  ["daemon/deploy/planted.ts", "../cloud/main.ts"],
  ["daemon/deploy/planted.ts", "fastify"],
  ["daemon/invocations/planted.ts", "../functions/functions.ts"],
  ["daemon/rpc/planted.ts", "../store/store.ts"],
  ["daemon/rpc/planted.ts", "better-sqlite3"],
  ["daemon/store/planted.ts", "../rpc/rpc.ts"],
  ["daemon/store/planted.ts", "../../client/connect.ts"],
  ["daemon/processes/planted.ts", "../functions/functions.ts"],
  ["daemon/processes/planted.ts", "../aws/aws.ts"],
  ["daemon/processes/planted.ts", "../daemon.ts"],
  ["daemon/processes/planted.ts", "../../client/connect.ts"],
  ["daemon/processes/planted.ts", "ws"],
  ["daemon/debug/planted.ts", "../functions/functions.ts"],
  ["daemon/debug/planted.ts", "../runtime/inspector.ts"],
  ["daemon/debug/planted.ts", "../daemon.ts"],
  ["daemon/debug/planted.ts", "../../client/connect.ts"],
  ["daemon/debug/planted.ts", "fastify"],
  ["daemon/tunnel/planted.ts", "../bridge/bridge.ts"],
  ["daemon/tunnel/planted.ts", "../runtime/environment.ts"],
  ["daemon/tunnel/planted.ts", "better-sqlite3"],
  ["daemon/tunnel/preload/planted.ts", "../tunnel.ts"],
  ["daemon/tunnel/preload/planted.ts", "../../lib/errors.ts"],
  ["daemon/tunnel/preload/planted.ts", "ssh2"],
  ["daemon/watch/planted.ts", "../functions/functions.ts"],
  ["daemon/config/planted.ts", "../functions/functions.ts"],
  ["daemon/planted.ts", "../client/connect.ts"],
  ["daemon/planted.ts", "../stub/main.ts"],
  ["daemon/planted.ts", "fastify"],
  ["daemon/cloud/planted.ts", "../aws/aws.ts"],
  ["daemon/credentials/planted.ts", "../deploy/deploy.ts"],
];

/** What each part may import; flagged, it would make the house impossible to live in. */
const ALLOWED: readonly (readonly [file: string, specifier: string])[] = [
  ["proto/rpc.ts", "zod"],
  ["stub/fine.ts", "../proto/frames.ts"],
  ["stub/fine.ts", "ws"],
  ["client/fine.ts", "../proto/errors.ts"],
  ["client/cli/fine.ts", "../connect.ts"],
  ["client/sdk/fine.ts", "../../proto/app.ts"],
  ["client/sdk/fine.ts", "node:fs"],
  ["client/tui/fine.ts", "../connect.ts"],
  ["client/tui/fine.ts", "@xterm/headless"],
  ["client/console/fine.ts", "../connect.ts"],
  ["client/editor/fine.ts", "../../proto/errors.ts"],
  ["daemon/functions/fine.ts", "../runtime/environment.ts"],
  ["daemon/functions/fine.ts", "../../proto/answer.ts"],
  ["daemon/functions/fine.ts", "../lib/log.ts"],
  ["daemon/functions/fine.ts", "esbuild"],
  ["daemon/cloud/fine.ts", "../runtime/environment.ts"],
  ["daemon/deploy/fine.ts", "../aws/aws.ts"],
  ["daemon/processes/fine.ts", "../runtime/marks.ts"],
  ["daemon/processes/fine.ts", "@lydell/node-pty"],
  ["daemon/debug/fine.ts", "ws"],
  ["daemon/tunnel/fine.ts", "../aws/aws.ts"],
  ["daemon/tunnel/fine.ts", "ssh2"],
  ["daemon/tunnel/preload/fine.ts", "node:net"],
  ["daemon/store/fine.ts", "better-sqlite3"],
  ["daemon/fine.ts", "./store/store.ts"],
  ["daemon/fine.ts", "../proto/rpc.ts"],
];

/** Lints a tree of the given files; gives the rules that each of them breaks. */
async function lint(files: Readonly<Record<string, string>>): Promise<(file: string) => readonly string[]> {
  // Not under the project: what git ignores there is not linted.
  const dir = mkdtempSync(join(tmpdir(), "livedev-borders-"));
  try {
    for (const [path, source] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), source);
    }
    cpSync(join(ROOT, ".oxlint.config.mjs"), join(dir, ".oxlint.config.mjs"));
    const output = await new Promise<string>((resolve, reject) => {
      const bin = join(ROOT, "node_modules/oxlint/bin/oxlint");
      const args = [bin, "-c", ".oxlint.config.mjs", "--format=json"];
      execFile(process.execPath, args, { cwd: dir }, (error, stdout, stderr) =>
        stdout === "" && error !== null ? reject(new Error(stderr, { cause: error })) : resolve(stdout),
      );
    });
    const { diagnostics, number_of_files: linted } = JSON.parse(output) as {
      diagnostics: readonly { code: string; filename: string }[];
      number_of_files: number;
    };
    if (linted < Object.keys(files).length) throw new Error(`only ${linted} files were linted`);
    return (file) => diagnostics.filter(({ filename }) => filename === file).map(({ code }) => code);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Each in a file of its own, so that one run tells of all. */
const apart = (imports: readonly (readonly [file: string, specifier: string])[]) =>
  imports.map(([file, specifier], index) => ({
    file: file === "proto/rpc.ts" ? file : file.replace(/[.]ts$/, `-${index}.ts`),
    source: `import { planted } from "${specifier}";\nconsole.log(planted);\n`,
    what: `${file} imports ${specifier}`,
  }));

const tree = (imports: ReturnType<typeof apart>) =>
  Object.fromEntries(imports.map(({ file, source }) => [file, source]));

void t.test("each planted import across a border is flagged", async (t) => {
  const planted = apart(VIOLATIONS);
  const broken = await lint(tree(planted));
  for (const { file, what } of planted) {
    t.ok(
      broken(file).some((rule) => rule.includes("no-restricted-imports")),
      what,
    );
  }
});

void t.test("what the borders allow is not flagged", async (t) => {
  const fine = apart(ALLOWED);
  const broken = await lint(tree(fine));
  for (const { file, what } of fine) t.same(broken(file), [], what);
});

void t.test("clients may import the schemas' types", async (t) => {
  const source = 'import type { RpcMethod } from "../proto/rpc.ts";\nexport type Planted = RpcMethod;\n';
  const broken = await lint({ "client/fine.ts": source });
  t.same(broken("client/fine.ts"), []);
});

void t.test("an import cycle is flagged", async (t) => {
  const broken = await lint({
    "daemon/lib/planted.ts": 'export { b } from "./other.ts";\nexport const a = 1;\n',
    "daemon/lib/other.ts": 'export { a } from "./planted.ts";\nexport const b = 1;\n',
  });
  t.ok(broken("daemon/lib/planted.ts").some((rule) => rule.includes("no-cycle")));
});
