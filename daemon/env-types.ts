/**
 * `livedev-env.d.ts`: what `Resource` holds in this app, for editors and compilers. Written beside the config whenever
 * it would say something else, and meant to be committed: a pipeline that checks types has no daemon.
 */
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { OUTPUT, type WantedApp, type WantedOutput } from "../proto/app.ts";

import { codeOf } from "./lib/errors.ts";

const FILE = "livedev-env.d.ts";

/** False where it says so already. */
export async function writeEnvTypes(project: string, app: WantedApp): Promise<boolean> {
  const file = join(project, FILE);
  const text = envTypes(app, { sst: hasPackage(project, "sst") });
  const before = await readFile(file, "utf8").catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (before === text) return false;
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, text);
  await rename(draft, file);
  return true;
}

/** `sst`: whether code of the project may import SST's SDK, which reads the same values. */
export function envTypes(app: WantedApp, { sst }: { readonly sst: boolean }): string {
  const links = [...(app.linkable ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
  const members = links.map(({ name, properties }) => `    ${key(name)}: ${typeOf(properties, "    ")};\n`);
  const modules = [
    `declare module "livedev" {\n  interface Resources {\n    App: { name: string; stage: string };\n${members.join("")}  }\n}\n`,
    ...(sst ? [`declare module "sst" {\n  export interface Resource {\n${members.join("")}  }\n}\n`] : []),
  ];
  return [
    "/* Written by livedev when the components of livedev.config.ts change. Commit it; do not edit it. */\n/* eslint-disable */\n",
    `import "livedev";\n${sst ? 'import "sst";\n' : ""}`,
    ...modules,
  ].join("\n");
}

function typeOf(value: unknown, indent: string): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return typeof value;
  if (value === null) return "null";
  if (typeof value !== "object") return "unknown";
  if (Array.isArray(value)) {
    const types = [...new Set(value.map((item) => typeOf(item, indent)))];
    return types.length === 1 ? `${grouped(types[0]!)}[]` : `(${types.join(" | ") || "unknown"})[]`;
  }
  if (OUTPUT in value) return typeOfOutput(value as WantedOutput);
  const deeper = `${indent}  `;
  const members = Object.entries(value).map(
    ([name, item]) => `${deeper}${key(name)}: ${typeOf(item, deeper)};\n`,
  );
  return members.length === 0 ? "{}" : `{\n${members.join("")}${indent}}`;
}

/** What components give is text, but for these. */
function typeOfOutput(output: WantedOutput): string {
  const [only, ...more] = output[OUTPUT];
  if (typeof only !== "object" || more.length > 0 || !("ref" in only)) return "string";
  const path = only.ref.slice(only.ref.indexOf(".") + 1);
  if (path === "port") return "number";
  if (path === "outputs") return "Record<string, string>";
  return /^(?:publicSubnets|privateSubnets|securityGroups)$/.test(path) ? "string[]" : "string";
}

const grouped = (type: string) => (type.includes("|") ? `(${type})` : type);

const key = (name: string) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

/** As Node would find it from there. */
function hasPackage(from: string, name: string): boolean {
  if (existsSync(join(from, "node_modules", name, "package.json"))) return true;
  const up = dirname(from);
  return up !== from && hasPackage(up, name);
}
