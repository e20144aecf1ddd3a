/** `import … from "livedev"`: components for livedev.config.ts, and `Resource` for the functions' code. */
export * as aws from "./aws.ts";
export * as sst from "./sst.ts";
export * as x from "./x.ts";
export { $app, $config, $dev, type App, type AppInput, type Config } from "./config.ts";
export { Linkable, type LinkableArgs } from "./component.ts";
export { $concat, $interpolate, $jsonStringify, $resolve, Output, type Input } from "./output.ts";
export { DevCommand, type DevCommandArgs } from "./processes.ts";
export { Resource, type Resources } from "./resource.ts";
export { Secret } from "./secret.ts";
