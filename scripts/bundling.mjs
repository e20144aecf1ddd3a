/** What the bundles of the product and of its tests have in common. */

/** Bundled CommonJS packages that call `require` need one inside an ES module. */
export const REQUIRE = `import { createRequire as livedevRequire } from "node:module"; const require = livedevRequire(import.meta.url);`;

/** What stays beside a bundle, in node_modules. */
export const OUTSIDE = [
  // Native, or it looks for files beside its own.
  "better-sqlite3",
  "esbuild",
  "ssh2",
  "@lydell/node-pty",
  // ws does without them.
  "bufferutil",
  "utf-8-validate",
  // Never asked for: daemon/lib/without-schemas.ts.
  "@fastify/ajv-compiler",
  "@fastify/fast-json-stringify-compiler",
];
