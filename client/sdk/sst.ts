/** SST's own name for the same, so that its snippets load as they are. */
export * as aws from "./aws.ts";
export * as x from "./x.ts";
export { Linkable } from "./component.ts";
export { Secret } from "./secret.ts";
