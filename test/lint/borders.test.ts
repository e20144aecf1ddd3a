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
  ["client/sdk/planted.ts", "../connect.ts"],
  ["client/sdk/planted.ts", "../../proto/frames.ts"],
  ["daemon/lib/planted.ts", "../store/store.ts"],
  ["daemon/lib/planted.ts", "better-sqlite3"],
  ["daemon/runtime/planted.ts", "../functions/functions.ts"],
  ["daemon/runtime/runner/planted.ts", "../environment.ts"],
  ["daemon/runtime/runner/planted.ts", "../../lib/errors.ts"],
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
  ["daemon/functions/fine.ts", "../runtime/environment.ts"],
  ["daemon/functions/fine.ts", "../../proto/answer.ts"],
  ["daemon/functions/fine.ts", "../lib/log.ts"],
  ["daemon/functions/fine.ts", "esbuild"],
  ["daemon/cloud/fine.ts", "../runtime/environment.ts"],
  ["daemon/deploy/fine.ts", "../aws/aws.ts"],
  ["daemon/store/fine.ts", "better-sqlite3"],
  ["daemon/fine.ts", "./store/store.ts"],
  ["daemon/fine.ts", "../proto/rpc.ts"],
];

/** Lints `file` alone in a tree of the given files; gives the rules that were broken. */
async function lint(files: Readonly<Record<string, string>>, file: string): Promise<readonly string[]> {
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
      const args = [bin, "-c", ".oxlint.config.mjs", "--format=json", file];
      execFile(process.execPath, args, { cwd: dir }, (error, stdout, stderr) =>
        stdout === "" && error !== null ? reject(new Error(stderr, { cause: error })) : resolve(stdout),
      );
    });
    const { diagnostics } = JSON.parse(output) as { diagnostics: readonly { code: string }[] };
    return diagnostics.map(({ code }) => code);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

void t.test("each planted import across a border is flagged", async (t) => {
  for (const [file, specifier] of VIOLATIONS) {
    const rules = await lint(
      { [file]: `import { planted } from "${specifier}";\nconsole.log(planted);\n` },
      file,
    );
    t.ok(
      rules.some((rule) => rule.includes("no-restricted-imports")),
      `${file} imports ${specifier}`,
    );
  }
});

void t.test("what the borders allow is not flagged", async (t) => {
  for (const [file, specifier] of ALLOWED) {
    const rules = await lint({ [file]: `import { fine } from "${specifier}";\nconsole.log(fine);\n` }, file);
    t.same(rules, [], `${file} imports ${specifier}`);
  }
});

void t.test("clients may import the schemas' types", async (t) => {
  const source = 'import type { RpcMethod } from "../proto/rpc.ts";\nexport type Planted = RpcMethod;\n';
  t.same(await lint({ "client/fine.ts": source }, "client/fine.ts"), []);
});

void t.test("an import cycle is flagged", async (t) => {
  const files = {
    "daemon/lib/planted.ts": 'export { b } from "./other.ts";\nexport const a = 1;\n',
    "daemon/lib/other.ts": 'export { a } from "./planted.ts";\nexport const b = 1;\n',
  };
  const rules = await lint(files, "daemon/lib/planted.ts");
  t.ok(rules.some((rule) => rule.includes("no-cycle")));
});
