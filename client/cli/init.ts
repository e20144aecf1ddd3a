import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

import type { Command } from "commander";

import { CONFIG_FILES, STATE_FOLDER } from "../../proto/discovery.ts";

import { alreadyProject, fileUnwritable, messageOf } from "../errors.ts";
import { VERSION } from "../programs.ts";
import { printEither, type Cli, type Common } from "./cli.ts";
import { paint } from "./output.ts";

export function initCommand(cli: Cli): Command {
  return cli
    .command(
      "init",
      "Writes a first project: a config with one function, and its handler. It overwrites nothing.",
      [
        ["livedev init", "in this folder"],
        ["livedev init --project shop", "in another, which is made"],
      ],
    )
    .action(
      cli.action<Common>(async ({ options }) => {
        const project = resolve(options.project ?? ".");
        const exists = CONFIG_FILES.find((name) => existsSync(join(project, name)));
        if (exists !== undefined) throw alreadyProject(join(project, exists));
        const files = write(project);
        printEither(options.json, { project, files }, () => text(project, files));
      }),
    );
}

function text(project: string, files: readonly string[]): string {
  const made = files.map((file) => `  ${paint("green", "+")} ${file}`);
  const installed = existsSync(join(project, "node_modules", "livedev"));
  const steps = [
    ...(project === process.cwd() ? [] : [`cd ${project}`]),
    ...(installed ? [] : ["npm install"]),
    "npx livedevd start",
    `npx livedev invoke MyApi --event '{"a":1}'`,
  ];
  return [`A project in ${project}:`, ...made, "", "Next:", ...steps.map((step) => `  ${step}`)].join("\n");
}

/** Names of the files that it made. */
function write(project: string): string[] {
  const name = appName(basename(project));
  const files: Readonly<Record<string, string>> = {
    "livedev.config.ts": config(name),
    "src/api.ts": HANDLER,
    "tsconfig.json": tsconfig(hasNodeTypes(project)),
    "package.json": packageJson(name),
    ".vscode/launch.json": LAUNCH,
  };
  const made: string[] = [];
  for (const [file, content] of Object.entries(files)) {
    const path = join(project, file);
    if (existsSync(path)) continue;
    save(path, content);
    made.push(file);
  }
  if (ignoreState(join(project, ".gitignore"))) made.push(".gitignore");
  return made;
}

function save(path: string, content: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content, { flag: "wx" });
  } catch (error) {
    throw fileUnwritable(path, messageOf(error));
  }
}

/** State is of this machine alone, and history is private. The one file of others that it adds to. */
function ignoreState(path: string): boolean {
  const before = existsSync(path) ? readFileSync(path, "utf8") : "node_modules/\n";
  const known = before.split("\n").some((line) => /^\/?\.livedev\/?\s*$/.test(line));
  if (known) return false;
  try {
    writeFileSync(path, `${before}${before === "" || before.endsWith("\n") ? "" : "\n"}${STATE_FOLDER}/\n`);
    return true;
  } catch (error) {
    throw fileUnwritable(path, messageOf(error));
  }
}

/** Letters, digits and dashes, the first a letter: it becomes part of every name in AWS. */
function appName(folder: string): string {
  const name = folder
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^[^a-z]+|-+$/g, "")
    .slice(0, 24)
    .replace(/-+$/, "");
  return name === "" ? "hello" : name;
}

const config = (name: string) => `import { $config, aws } from "livedev";

export default $config({
  app: () => ({ name: "${name}", home: "local" }),
  async run() {
    new aws.Function("MyApi", { handler: "src/api.handler", url: true });
  },
});
`;

const HANDLER = `/** Change the greeting, save, and ask again: the next event runs the new code. */
const GREETING = "Hello";

export async function handler(event: Record<string, unknown>) {
  console.log("MyApi was asked", Object.keys(event));
  return { greeting: GREETING, event };
}
`;

/** Our own package.json asks for them; one that stands may not. */
const hasNodeTypes = (project: string): boolean =>
  !existsSync(join(project, "package.json")) || existsSync(join(project, "node_modules/@types/node"));

const tsconfig = (nodeTypes: boolean) => `{
  "compilerOptions": {
    "target": "es2022",
    "module": "esnext",
    "moduleResolution": "bundler",
    ${nodeTypes ? `"lib": ["es2023"],\n    "types": ["node"],` : `"lib": ["es2023", "dom"],`}
    "strict": true,
    "noEmit": true,
    "skipLibCheck": true
  },
  "include": ["livedev.config.ts", "livedev-env.d.ts", "src"]
}
`;

/** As docs/debugging.md has it. VS Code's debugger attaches to what `livedevd start --inspect` opens. */
const LAUNCH = `{
  "version": "0.2.0",
  "configurations": [
    {
      "name": "livedev",
      "type": "node",
      "request": "attach",
      "address": "127.0.0.1",
      "port": 9229,
      "restart": true,
      "attachExistingChildren": false,
      "autoAttachChildProcesses": false,
      "pauseForSourceMap": true,
      "outFiles": ["\${workspaceFolder}/.livedev/**/build/**/*.{cjs,mjs}"],
      "resolveSourceMapLocations": ["\${workspaceFolder}/**", "!**/node_modules/**"]
    }
  ]
}
`;

const packageJson = (name: string) => `{
  "name": "${name}",
  "private": true,
  "type": "module",
  "devDependencies": {
    "@types/node": "^20.19.0",
    "livedev": "^${VERSION}"
  }
}
`;
