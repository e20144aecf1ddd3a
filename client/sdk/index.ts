/** `import … from "livedev"`: components for livedev.config.ts, and `Resource` for the functions' code. */
export * as aws from "./aws.ts";
export * as sst from "./sst.ts";
export { $app, $config, $dev, type App, type AppInput, type Config } from "./config.ts";
export { Linkable, type LinkableArgs } from "./component.ts";
export { $concat, $interpolate, Output, type Input } from "./output.ts";
export { Resource, type Resources } from "./resource.ts";
