/** What is bundled into `dist/` goes out with its licence: `dist/THIRD-PARTY-LICENSES.txt`. */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** `metafiles` are esbuild's, with paths relative to `root`. */
export function writeLicenses(root, metafiles) {
  const folders = new Set();
  for (const path of metafiles.flatMap(({ inputs }) => Object.keys(inputs))) {
    const folder = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
    if (folder !== undefined) folders.add(folder);
  }
  const texts = new Map();
  for (const folder of [...folders].toSorted((one, other) => one.localeCompare(other))) {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    const file = readdirSync(join(root, folder)).find((each) => /^licen[cs]e/i.test(each));
    const text = file === undefined ? "" : readFileSync(join(root, folder, file), "utf8").trim();
    texts.set(`${name}@${version} (${license})`, text);
  }
  const whole = [...texts]
    .map(([title, text]) => `${title}\n\n${text}`.trim())
    .join(`\n\n${"-".repeat(80)}\n\n`);
  writeFileSync(join(root, "dist", "THIRD-PARTY-LICENSES.txt"), `${whole}\n`);
}
