/**
 * The local cloud's program: `cloud start | stop | status | env | serve`.
 * Exit codes: 0 done, 1 an error, 2 a wrong command line, 3 not running.
 */
import { parseArgs } from "node:util";

import { LivedevError, cloudUsage, messageOf } from "../lib/errors.ts";
import { COMMANDS, USAGE, readOptions } from "./commands.ts";

const OPTIONS = {
  "state-dir": { type: "string" },
  port: { type: "string" },
  region: { type: "string" },
  concurrency: { type: "string" },
  "max-environments": { type: "string" },
  "idle-ms": { type: "string" },
  "init-timeout-ms": { type: "string" },
  "async-retry-ms": { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

async function main(): Promise<number> {
  const { values, positionals } = parse();
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const [name = "", ...rest] = positionals;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name as keyof typeof COMMANDS] : undefined;
  if (command === undefined || rest.length > 0) {
    throw cloudUsage(name === "" ? "Which command?" : `Unknown command: ${positionals.join(" ")}`);
  }
  return command(readOptions(values));
}

function parse() {
  try {
    return parseArgs({ options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw cloudUsage(messageOf(error));
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof LivedevError && process.argv.includes("--json")) {
    const { code, message, hint } = error;
    console.log(JSON.stringify({ error: { code, message, ...(hint !== undefined && { hint }) } }));
    process.exitCode = code === "cloud.usage" ? 2 : 1;
  } else if (error instanceof LivedevError) {
    console.error(error.hint === undefined ? error.message : `${error.message} ${error.hint}`);
    process.exitCode = error.code === "cloud.usage" ? 2 : 1;
  } else {
    console.error(error);
    process.exitCode = 1;
  }
}
