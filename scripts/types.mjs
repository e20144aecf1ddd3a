/**
 * Declarations of what a user imports from "livedev" and "livedev/client": `node scripts/types.mjs [FOLDER]`, by
 * default into dist/types. Their imports end in .js, since tsc leaves our .ts as it stands and not every compiler
 * takes that in a declaration.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const folder = process.argv[2] ?? join(root, "dist", "types");

const tsc = join(root, "node_modules", ".bin", "tsc");
// `npm run check` checks them.
const options = ["-p", join(root, "scripts", "tsconfig.types.json"), "--noCheck", "--outDir", folder];
const { status } = spawnSync(tsc, options, { cwd: root, stdio: "inherit" });
if (status === 0) {
  for (const name of readdirSync(folder, { recursive: true })) {
    if (!name.endsWith(".d.ts")) continue;
    const file = join(folder, name);
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replaceAll(/((?:from|import\()\s*"\.[^"\n]*)\.ts"/g, '$1.js"'));
  }
}
process.exitCode = status ?? 1;
