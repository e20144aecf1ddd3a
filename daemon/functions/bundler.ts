/** One function's builds: ordered of the build thread, and put on disk. */
import { join } from "node:path";

import type { WantedFunction } from "../../proto/app.ts";
import type { BuildError } from "../../proto/events.ts";
import type { Builds } from "./builds.ts";
import type { BuildInputs } from "./inputs.ts";
import type { Bundle, Outputs } from "./outputs.ts";

export type BuildResult =
  /** The receiver holds the bundle. */
  | {
      readonly kind: "built";
      readonly bundle: Bundle;
      readonly exportPath: string;
      readonly inputs: BuildInputs;
    }
  | { readonly kind: "failed"; readonly errors: readonly BuildError[]; readonly inputs: BuildInputs }
  | { readonly kind: "cancelled" };

export class Bundler {
  readonly #project: string;
  readonly #wanted: WantedFunction;
  readonly #builds: Builds;
  readonly #outputs: Outputs;
  readonly #owner: number;

  constructor(options: { project: string; wanted: WantedFunction; builds: Builds; outputs: Outputs }) {
    this.#project = options.project;
    this.#wanted = options.wanted;
    this.#builds = options.builds;
    this.#outputs = options.outputs;
    this.#owner = options.builds.owner();
  }

  /** One at a time. Never rejects for what is wrong with the user's code or settings. */
  async build(usedAt: number): Promise<BuildResult> {
    const { name, handler, runtime, nodejs } = this.#wanted;
    const compiled = await this.#builds.compile({
      owner: this.#owner,
      project: this.#project,
      wanted: { handler, runtime, nodejs },
      outdir: join(this.#outputs.folder(name), "0".repeat(16)),
      usedAt,
    });
    if (compiled.kind !== "compiled") return compiled;
    const { files, hash, main, entry, exportPath, inputs } = compiled;
    await this.#outputs.linkPackages(name, entry);
    const bundle = await this.#outputs.put(name, { files, hash, main });
    return { kind: "built", bundle, exportPath, inputs };
  }

  async cancel(): Promise<void> {
    await this.#builds.cancel(this.#owner);
  }

  async close(): Promise<void> {
    await this.#builds.forget(this.#owner);
  }
}
