/**
 * A stranger's machine: an empty folder, the packed tarball, npm with the cache that this machine has. Nothing of
 * this repository is within its reach.
 */
import { execFile, execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";

import { processesIn, ROOT, type Finished } from "../support/rig.ts";

const execute = promisify(execFile);

/** What a clone does not have. */
const NOT_CLONED = new Set(["node_modules", "dist", ".git", ".livedev", ".demo", ".tap", ".parts", ".moto"]);

export type Packed = { readonly tarball: string; readonly files: readonly string[] };

/** `npm pack` of a copy: its build would take dist/ away from the tests that run beside this one. */
export async function pack(into: string): Promise<Packed> {
  const clone = join(into, "clone");
  cpSync(ROOT, clone, { recursive: true, filter: (path) => !NOT_CLONED.has(basename(path)) });
  symlinkSync(join(ROOT, "node_modules"), join(clone, "node_modules"));
  const { stdout } = await execute("npm", ["pack", "--json", "--pack-destination", into], {
    cwd: clone,
    env: npmEnvironment(process.env),
    maxBuffer: 16 * 1024 * 1024,
  });
  // In front of it stands what the build printed.
  const [packed] = JSON.parse(stdout.slice(stdout.search(/^\[/m))) as [
    { filename: string; files: { path: string }[] },
  ];
  return { tarball: join(into, packed.filename), files: packed.files.map(({ path }) => path) };
}

/** A Node beside the one that runs: its folder, as scripts/parts.sh installs it. `undefined`: this one. */
export type NodeFolder = string | undefined;

export class Stranger {
  readonly root: string;
  readonly project: string;
  readonly env: Record<string, string>;
  readonly #path: string;
  readonly #prebuilds: string;

  private constructor(root: string, node: NodeFolder) {
    this.root = root;
    this.project = join(root, "app");
    for (const folder of ["app", "home", "tmp"]) mkdirSync(join(root, folder));
    mkdirSync(join(root, "run"), { mode: 0o700 });
    this.#path = [
      node === undefined ? dirname(process.execPath) : join(node, "bin"),
      process.env["PATH"] ?? "",
    ].join(delimiter);
    this.env = {
      PATH: this.#path,
      HOME: join(root, "home"),
      USER: "ada",
      TMPDIR: join(root, "tmp"),
      XDG_RUNTIME_DIR: join(root, "run"),
      NO_COLOR: "1",
      // npx writes its logs there.
      npm_config_cache: join(root, "npm"),
      npm_config_update_notifier: "false",
    };
    this.#prebuilds = node === undefined ? ownPrebuild(root) : join(dirname(node), "prebuilds");
  }

  static open(node?: NodeFolder): Stranger {
    return new Stranger(realpathSync(mkdtempSync(join(tmpdir(), "ld-"))), node);
  }

  /**
   * npm as the user of this machine has set it up. Where better-sqlite3's prebuilt binary would be downloaded, npm is
   * given one of this machine instead: a minute and a half of compiling proves nothing about livedev.
   */
  npm(...args: readonly string[]): Promise<Finished> {
    return this.run("npm", args, {
      ...npmEnvironment(process.env),
      PATH: this.#path,
      npm_config_better_sqlite3_local_prebuilds: this.#prebuilds,
    });
  }

  npx(...args: readonly string[]): Promise<Finished> {
    return this.run("npx", args);
  }

  /** A command line as a person reads it somewhere and types it. */
  shell(line: string): Promise<Finished> {
    return line.startsWith("npm ")
      ? this.npm(...line.split(" ").slice(1))
      : this.run("sh", ["-c", line], this.env);
  }

  read(path: string): string {
    return readFileSync(join(this.project, path), "utf8");
  }

  save(path: string, text: string): void {
    mkdirSync(dirname(join(this.project, path)), { recursive: true });
    writeFileSync(join(this.project, path), text);
  }

  /** Files of the project that are neither its packages nor livedev's state. */
  files(): readonly string[] {
    return readdirSync(this.project, { recursive: true, encoding: "utf8" })
      .filter((path) => !/^(node_modules|\.livedev)(\/|$)/.test(path))
      .toSorted();
  }

  /** What lies outside of the project and is not npm's own (newer ones keep compiled code): nothing should. */
  strayFiles(): readonly string[] {
    return ["tmp", "run", "home"].flatMap((folder) =>
      readdirSync(join(this.root, folder), { recursive: true, encoding: "utf8", withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name))
        .filter((path) => !path.includes("/node-compile-cache/")),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = process.platform === "linux" ? await processesIn(this.root) : [];
    for (const { pid } of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone meanwhile.
      }
    }
    rmSync(this.root, { recursive: true, force: true, maxRetries: 3 });
  }

  /** A program, in the project. */
  run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = this.env): Promise<Finished> {
    return execute(command, args, { cwd: this.project, env, maxBuffer: 16 * 1024 * 1024 }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number | null; stdout: string; stderr: string }) => error,
    );
  }
}

/** Without what `npm test` around this process tells its own children. */
function npmEnvironment({ LIVEDEV_NPM_CA_CERTS, ...env }: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(env).filter(
    ([name]) =>
      !/^(npm_(?!config_)|npm_config_(local_prefix|prefix|global|json|loglevel)|INIT_CWD$)/i.test(name),
  );
  return { ...Object.fromEntries(own), NODE_EXTRA_CA_CERTS: LIVEDEV_NPM_CA_CERTS };
}

/** The binding of this repository's own better-sqlite3, packed and named as its prebuilt ones are. */
function ownPrebuild(root: string): string {
  const home = dirname(createRequire(import.meta.url).resolve("better-sqlite3/package.json"));
  const { version } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as { version: string };
  const binding = join("build", "Release", "better_sqlite3.node");
  const folder = join(root, "prebuilds");
  mkdirSync(folder);
  if (existsSync(join(home, binding))) {
    const name = `better-sqlite3-v${version}-node-v${process.versions.modules}-${process.platform}-${process.arch}`;
    execFileSync("tar", ["-czf", join(folder, `${name}.tar.gz`), "-C", home, binding]);
  }
  return folder;
}
