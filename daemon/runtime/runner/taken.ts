/**
 * Node's own functions, taken before any user code runs: user code may patch them (tracing, mocks, fake timers), and
 * must neither see the runner's use of them nor break it.
 */
import { request as httpRequest } from "node:http";
import { setImmediate as nodeSetImmediate } from "node:timers";

export const request = httpRequest;
export const setImmediate = nodeSetImmediate;
export const exit: typeof process.exit = process.exit.bind(process);
export const writeError: typeof process.stderr.write = process.stderr.write.bind(process.stderr);
