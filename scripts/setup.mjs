/**
 * Installs what is missing, with progress: `const { compiling } = await setup({ dev })`. Plain JavaScript on Node alone,
 * since it is the first thing that runs on a fresh clone.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export const ROOT = join(import.meta.dirname, "..");
const OLDEST_NODE = [20, 19];
/** npm's own note of what is installed. */
const HIDDEN_LOCK = join(ROOT, "node_modules", ".package-lock.json");
/** What install scripts make, and all else waits for. */
const SQLITE = join(ROOT, "node_modules", "better-sqlite3", "build", "Release", "better_sqlite3.node");

/**
 * `compiling` is there where SQLite is not yet, and settles when it is: without a prebuilt binary within reach a compiler
 * is at it for a minute, on one core, in which others can build what does not need it. It rejects with a SetupError.
 *
 * @param {{ dev: boolean }} options dev: with the development dependencies
 */
export async function setup({ dev }) {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])) {
    throw new SetupError(`livedev needs Node ${OLDEST_NODE.join(".")} or newer; this is ${process.version}.`);
  }
  const missing = missingPackages({ dev });
  if (missing.length > 0) await install(missing.length, { dev });
  const compiling = existsSync(SQLITE) ? undefined : npm("rebuild", { dev });
  // Whoever waits is told; until somebody does, it is no unhandled rejection.
  compiling?.catch(() => {});
  return { compiling };
}

async function install(count, { dev }) {
  await withProgress(
    `Installing ${count} packages`,
    async () => {
      // `ci` begins by deleting all that is there, what was compiled too: only where the lock cannot be met otherwise.
      if (existsSync(HIDDEN_LOCK)) await npm("install", { dev }, "--no-save");
      if (missingPackages({ dev }).length > 0) await npm("ci", { dev }, "--ignore-scripts");
    },
    () => {
      const left = absentPackages({ dev });
      return left > 0 ? `${left} to come` : "their install scripts";
    },
  );
}

const npm = (command, { dev }, ...options) =>
  run(
    "npm",
    [command, "--loglevel=error", "--no-audit", "--no-fund", ...(dev ? [] : ["--omit=dev"]), ...options],
    {
      env: buildEnvironment(),
    },
  );

export class SetupError extends Error {}

/** Packages of the lock file that are not installed, or not in the locked version. */
function missingPackages({ dev }) {
  const installed = existsSync(HIDDEN_LOCK) ? lockedPackages(HIDDEN_LOCK) : {};
  return wantedPackages({ dev })
    .filter(([path, entry]) => installed[path]?.version !== entry.version || !existsSync(join(ROOT, path)))
    .map(([path]) => path);
}

/** While npm works: its note of what is installed comes at the end. */
const absentPackages = ({ dev }) =>
  wantedPackages({ dev }).filter(([path]) => !existsSync(join(ROOT, path, "package.json"))).length;

function wantedPackages({ dev }) {
  return Object.entries(lockedPackages(join(ROOT, "package-lock.json")))
    .filter(
      ([path, entry]) => path.startsWith("node_modules/") && !entry.link && !entry.optional && !entry.peer,
    )
    .filter(([, entry]) => dev || !(entry.dev || entry.devOptional));
}

const lockedPackages = (file) => JSON.parse(readFileSync(file, "utf8")).packages ?? {};

/**
 * Where a prebuilt binary cannot be downloaded, native add-ons compile against Node's headers, which usually lie
 * beside Node itself: then nothing need be downloaded for that. SQLite compiles in half the time where it is optimized
 * less, which a clone can do with: `CFLAGS=-O3 npm ci` has it as it is published.
 */
function buildEnvironment() {
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, "include", "node", "node.h"));
  return { CFLAGS: "-O1", ...process.env, ...(headers ? { npm_config_nodedir: prefix } : {}) };
}

/** Runs to its end; on failure throws with all that it printed. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], ...options });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => (output += text));
    }
    child.on("error", (error) => reject(new SetupError(`${command} could not be started: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(output);
      else
        reject(
          new SetupError(`\`${command} ${args.join(" ")}\` ended with ${signal ?? code}.\n${output.trim()}`),
        );
    });
  });
}

/**
 * Shows a step and the seconds it has taken: live on a terminal; elsewhere every half a minute, with what it does then
 * (`doing`).
 */
export async function withProgress(title, work, doing) {
  const began = performance.now();
  const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  const terminal = process.stdout.isTTY;
  if (!terminal) console.log(`${title} …`);
  const now = () => (doing === undefined ? "" : `: ${doing()}`);
  const timer = setInterval(
    () =>
      terminal ? process.stdout.write(`\r${title} … ${seconds()} `) : console.log(`… ${seconds()}${now()}`),
    terminal ? 100 : 30_000,
  );
  const end = (word) => {
    clearInterval(timer);
    if (terminal) process.stdout.write(`\r${" ".repeat(title.length + 16)}\r`);
    console.log(`${title}: ${word} (${seconds()})`);
  };
  try {
    const result = await work();
    end("done");
    return result;
  } catch (error) {
    end("failed");
    throw error;
  }
}
