/**
 * docs/api.md, the control API for people, from the schemas that validate: `npx tsx scripts/api-docs.ts`. A test
 * compares it (test/rpc/docs.test.ts).
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { openRpcDocument } from "../daemon/rpc/openrpc.ts";
import { RPC_PROTOCOL } from "../proto/version.ts";

type Schema = {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly minimum?: number;
  readonly maximum?: number;
};

type Param = { readonly name: string; readonly required: boolean; readonly schema: Schema };

const FILE = join(import.meta.dirname, "../docs/api.md");

const EXAMPLE = `\`\`\`sh
socket=$(node -p 'JSON.parse(fs.readFileSync(".livedev/'$(cat .livedev/stage)'/daemon.json")).socket')
curl -s --unix-socket "$socket" http://livedevd/rpc -d '{"jsonrpc":"2.0","id":1,"method":"function.list"}'
\`\`\``;

export function apiDocs(): string {
  const { methods, "x-notifications": notifications } = openRpcDocument("");
  return `${[
    "# The control API",
    "Made from the schemas that validate (`npx tsx scripts/api-docs.ts`); do not edit.",
    `JSON-RPC 2.0, control protocol ${RPC_PROTOCOL}, on the daemon's Unix socket: \`POST /rpc\`, or a WebSocket at \`/rpc\` for subscriptions. The socket stands in \`.livedev/<stage>/daemon.json\`. Params are given by name. A batch is an array of up to 1,000 requests; \`$/cancelRequest\` with \`{ "id": … }\` cancels one that is in progress on the same connection, which then ends with code -32001.`,
    "An error that a person can mend has code -32000, one sentence as its message, and `data: { code, hint }`, where `code` is stable.",
    EXAMPLE,
    "## Methods",
    ...methods.flatMap(({ name, summary, params, result }) => [
      `### ${name}`,
      summary,
      ...(params.length === 0 ? ["Params: none."] : ["Params:", parameters(params as Param[])]),
      ...returned(result.schema),
    ]),
    "## Notifications",
    "On the WebSocket that subscribed.",
    ...notifications.flatMap(({ name, params }) => [`### ${name}`, parameters(params as Param[])]),
  ].join("\n\n")}\n`;
}

function parameters(params: readonly Param[]): string {
  return params.map(({ name, required, schema }) => line(name, schema, required)).join("\n");
}

/** The fields of an object, or of a list's objects. */
function returned(schema: Schema): string[] {
  const { properties = {}, required = [] } = schema.items ?? schema;
  const lines = Object.entries(properties).map(([name, one]) => line(name, one, required.includes(name)));
  if (lines.length === 0) return [`Result: ${typeOf(schema)}.`];
  return [schema.items === undefined ? "Result:" : "Result, a list of:", lines.join("\n")];
}

function line(name: string, schema: Schema, required: boolean): string {
  const { description } = schema;
  return `- \`${name}${required ? "" : "?"}\`: ${typeOf(schema)}${description === undefined ? "" : `. ${description}`}`;
}

function typeOf(schema: Schema): string {
  return `\`${typeText(schema)}\``;
}

/** As TypeScript would write it, near enough for a reader. */
function typeText(schema: Schema): string {
  const { type, items, properties, required = [], additionalProperties } = schema;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const options = schema.anyOf ?? schema.oneOf;
  if (options !== undefined) return options.map(typeText).join(" | ");
  if (type === "array") {
    const item = items === undefined ? "unknown" : typeText(items);
    return item.includes(" | ") ? `(${item})[]` : `${item}[]`;
  }
  if (type === "object" && properties !== undefined && Object.keys(properties).length > 0) {
    const inside = Object.entries(properties).map(
      ([name, one]) => `${name}${required.includes(name) ? "" : "?"}: ${typeText(one)}`,
    );
    return `{ ${inside.join("; ")} }`;
  }
  if (type === "object" && typeof additionalProperties === "object") {
    return `{ [name: string]: ${typeText(additionalProperties)} }`;
  }
  if (type === "object") return "{}";
  return type === "integer" ? "integer" : String(type ?? "unknown");
}

if (process.argv[1] === import.meta.filename) writeFileSync(FILE, apiDocs());
