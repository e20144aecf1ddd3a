import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import type { Test } from "tap";

import {
  Config,
  type ConfigError,
  type ConfigOptions,
  type ConfigResult,
} from "../../daemon/config/config.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { ownFolder } from "../support/folder.ts";

export type Files = Readonly<Record<string, string>>;

/** A project of these files, and its config, open. */
export async function project(t: Test, files: Files, options: Partial<ConfigOptions> = {}) {
  const dir = ownFolder(t);
  const write = (more: Files) => {
    for (const [name, content] of Object.entries(more)) {
      mkdirSync(dirname(join(dir, name)), { recursive: true });
      writeFileSync(join(dir, name), content);
    }
  };
  write(files);
  const config = await Config.open({
    project: dir,
    stage: "ann",
    outDir: join(dir, ".livedev", "build"),
    log: silentLog,
    environment: { PATH: process.env["PATH"], HOME: process.env["HOME"] },
    ...options,
  });
  t.teardown(() => config[Symbol.asyncDispose]());
  return { dir, config, write };
}

export async function load(
  t: Test,
  files: Files,
  options: Partial<ConfigOptions> = {},
): Promise<ConfigResult> {
  const { config } = await project(t, files, options);
  return config.load();
}

export function good(result: ConfigResult): Extract<ConfigResult, { ok: true }> {
  if (!result.ok) throw new Error(result.error.message);
  return result;
}

export function bad(result: ConfigResult): ConfigError {
  if (result.ok) throw new Error("the config loaded, and should not have");
  return result.error;
}

/** A whole config around the statements of run(). */
export const config = (
  run: string,
  app = `{ name: "shop", home: "local" }`,
) => `import { $config, aws, Linkable } from "livedev";
export default $config({
  app: () => (${app}),
  async run() {
${run}
  },
});
`;

/** The line in run() that `config` puts its first statement on. */
export const FIRST = 5;
