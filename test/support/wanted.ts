/** A function of a wanted app with every default filled in, for tests of what is done with one. */
import type { WantedFunction } from "../../proto/app.ts";

export const NODEJS: WantedFunction["nodejs"] = {
  format: "esm",
  minify: false,
  sourcemap: true,
  splitting: false,
  loader: {},
  install: [],
  esbuild: {},
};

export function wantedFunction<More extends Partial<WantedFunction>>(name: string, more: More) {
  return {
    name,
    handler: "src/api.handler",
    runtime: "nodejs20.x",
    architecture: "x86_64" as const,
    timeoutMs: 20_000,
    memoryMb: 512,
    environment: {} as Readonly<Record<string, string>>,
    link: [],
    nodejs: NODEJS,
    dev: true,
    whenAway: "error" as const,
    retryable: false,
    logging: { format: "text" as const, retentionDays: 30 },
    layers: [],
    copyFiles: [],
    ...more,
  };
}
