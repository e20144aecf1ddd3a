/**
 * A stranger's machine for a journey: a project in a folder of its own, a home and a runtime directory of its own,
 * and the programs as they ship (`dist/`), started as real processes. Closing it stops what it started and reports
 * what outlived it.
 */
import { spawn, type ChildProcess } from "node:child_process";
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
import { readdir, readFile, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import { stopDaemon } from "../../client/cli/stop-daemon.ts";
import { connect, type ConnectOptions, type LivedevClient } from "../../client/connect.ts";
import { locate, type Place } from "../../client/discovery.ts";
import { ourEnvironment } from "../../client/greet.ts";
import { findServing, stopServing } from "../../daemon/cloud/serving.ts";
import { STATE_FOLDER } from "../../proto/discovery.ts";

export const ROOT = join(import.meta.dirname, "../..");

export type Finished = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Between two looks at all processes of the machine, of whose ends nothing tells. */
const LOOK_MS = 10;

export class Rig {
  readonly root: string;
  readonly project: string;
  readonly env: Record<string, string>;
  /** The words before each program's command, which make it run elsewhere: in another network, as another user. */
  within: readonly string[] = [];

  private constructor(root: string) {
    this.root = root;
    this.project = join(root, "project");
    this.env = {
      PATH: process.env["PATH"] ?? "",
      HOME: join(root, "home"),
      USER: "ada",
      TMPDIR: join(root, "tmp"),
      XDG_RUNTIME_DIR: join(root, "run"),
      NO_COLOR: "1",
    };
    for (const dir of [this.project, join(root, "home"), join(root, "tmp")])
      mkdirSync(dir, { recursive: true });
    mkdirSync(join(root, "run"), { mode: 0o700 });
  }

  /** A project of these files; `example` copies one of `examples/` first. */
  static open(options: { example?: string; files?: Readonly<Record<string, string>> } = {}): Rig {
    // Short: a socket's path may have no more than 107 bytes.
    const rig = new Rig(realpathSync(mkdtempSync(join(tmpdir(), "ld-"))));
    if (options.example !== undefined) {
      const from = join(ROOT, "examples", options.example);
      cpSync(from, rig.project, {
        recursive: true,
        filter: (path) => !/[\\/](node_modules|\.livedev)$/.test(path),
      });
    }
    symlinkSync(join(ROOT, "node_modules"), join(rig.project, "node_modules"));
    for (const [path, text] of Object.entries(options.files ?? {})) rig.save(path, text);
    return rig;
  }

  /** As npm installs: livedev is a package among the others, for what Node itself resolves; `more` by name and folder. */
  install(more: Readonly<Record<string, string>> = {}): void {
    const folder = join(this.project, "node_modules");
    const theirs = join(ROOT, "node_modules");
    rmSync(folder);
    mkdirSync(folder);
    const packages = Object.fromEntries(readdirSync(theirs).map((name) => [name, join(theirs, name)]));
    for (const [name, from] of Object.entries({ ...packages, livedev: ROOT, ...more }))
      symlinkSync(from, join(folder, name));
  }

  save(path: string, text: string): void {
    const file = join(this.project, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  read(path: string): string {
    return readFileSync(join(this.project, path), "utf8");
  }

  /** Saves the file with a part of it replaced; the part must be there. */
  edit(path: string, from: string, to: string): void {
    const text = this.read(path);
    if (!text.includes(from)) throw new Error(`${path} has no ${JSON.stringify(from)}`);
    this.save(path, text.replace(from, to));
  }

  livedev(...args: readonly string[]): Promise<Finished> {
    return this.run("livedev.js", args);
  }

  livedevd(...args: readonly string[]): Promise<Finished> {
    return this.run("livedevd.js", args);
  }

  async run(program: string, args: readonly string[], input?: string): Promise<Finished> {
    const child = this.spawn(program, args);
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin?.end(input);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", resolve);
    });
    return { code, stdout, stderr };
  }

  spawn(program: string, args: readonly string[]): ChildProcess {
    const [file = "", ...words] = [...this.within, process.execPath, join(ROOT, "dist", program), ...args];
    return spawn(file, words, {
      cwd: this.project,
      env: this.env,
      stdio: "pipe",
    });
  }

  /** `livedevd start`; gives the functions' URLs. */
  async start(): Promise<Readonly<Record<string, string>>> {
    const { code, stdout, stderr } = await this.livedevd("start", "--json");
    if (code !== 0) throw new Error(`livedevd start ended with ${code}\n${stderr}\n${this.daemonLog()}`);
    const { urls } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as { urls: Record<string, string> };
    return urls;
  }

  connect(options: ConnectOptions = {}): Promise<LivedevClient> {
    return connect({
      project: this.project,
      stage: this.env["LIVEDEV_STAGE"],
      environment: ourEnvironment(this.env),
      ...options,
    });
  }

  get stage(): string {
    return this.env["LIVEDEV_STAGE"] ?? this.read(".livedev/stage").trim();
  }

  daemonLog(): string {
    if (!existsSync(join(this.project, ".livedev", "stage"))) return "";
    const file = join(this.project, ".livedev", this.stage, "daemon.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  daemonPid(): number {
    const { pid } = JSON.parse(this.read(`.livedev/${this.stage}/daemon.json`)) as { pid: number };
    return pid;
  }

  processes(): Promise<readonly Running[]> {
    return processesIn(this.root);
  }

  /** What a killed daemon leaves ends by itself at the end of its input, within 5 s at most. */
  async #outliving(): Promise<readonly { pid: number; command: string }[]> {
    const until = performance.now() + 5_000;
    for (;;) {
      const left = await this.processes();
      if (left.length === 0 || performance.now() > until) return left;
      await wait(LOOK_MS);
    }
  }

  /** As `livedevd stop` and `livedev cloud stop` do it, without a process for each. */
  async #stop(): Promise<void> {
    let place: Place;
    try {
      place = locate({ cwd: this.project, env: this.env });
    } catch {
      // Its config is gone, say: the commands know where a project without one has its state.
      await this.livedevd("stop");
      await this.livedev("cloud", "stop");
      return;
    }
    // What does not end is told of below.
    await stopDaemon(place, { signal: new AbortController().signal }).catch(() => undefined);
    const cloud = await findServing(join(place.project, STATE_FOLDER, "cloud"));
    if (cloud !== undefined) await stopServing(cloud).catch(() => undefined);
  }

  /** Stops the daemon and the cloud. Throws where a process outlived them; ends it all the same. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    const left = process.platform === "linux" ? await this.#outliving() : [];
    for (const { pid } of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone meanwhile.
      }
    }
    rmSync(this.root, { recursive: true, force: true, maxRetries: 3 });
    if (left.length > 0) {
      throw new Error(
        `${left.length} processes outlived daemon and cloud: ${left.map(({ command }) => command).join("; ")}`,
      );
    }
  }
}

export type Running = { readonly pid: number; readonly command: string };

/** Processes that belong to a rig: their working directory, environment or command line names its folder. */
export async function processesIn(root: string): Promise<readonly Running[]> {
  const found: Running[] = [];
  for (const name of await readdir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const [cwd, environ, command] = await Promise.all([
        readlink(`/proc/${pid}/cwd`),
        readFile(`/proc/${pid}/environ`, "utf8"),
        readFile(`/proc/${pid}/cmdline`, "utf8"),
      ]);
      if (cwd.startsWith(root) || environ.includes(root) || command.includes(root)) {
        found.push({ pid, command: command.replaceAll("\0", " ").trim() });
      }
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}
