/**
 * The control API as an OpenRPC document, generated from the schemas that validate. OpenRPC has no word for messages
 * from server to client: those stand under `x-notifications`, shaped like methods.
 * @see https://spec.open-rpc.org
 */
import * as z from "zod";

import { RPC_ERROR } from "../../proto/errors.ts";
import { RPC, RPC_NOTIFICATIONS } from "../../proto/rpc.ts";
import { RPC_PROTOCOL } from "../../proto/version.ts";

type JsonSchema = Record<string, unknown>;

export function openRpcDocument(version: string) {
  return {
    openrpc: "1.3.2",
    info: {
      title: "livedevd",
      version,
      description:
        "The control API of livedevd, JSON-RPC 2.0 on its control socket: POST /rpc, or WebSocket /rpc.",
      "x-protocol": RPC_PROTOCOL,
    },
    methods: Object.entries(RPC).map(([name, { summary, params, result }]) => ({
      name,
      summary,
      paramStructure: "by-name",
      params: contentDescriptors(params),
      result: { name: "result", schema: jsonSchema(result) },
      errors: ERRORS,
    })),
    "x-notifications": Object.entries(RPC_NOTIFICATIONS).map(([name, params]) => ({
      name,
      paramStructure: "by-name",
      params: contentDescriptors(params),
    })),
  };
}

const ERRORS = [
  { code: RPC_ERROR.livedev, message: "What a user can mend; data holds code and hint." },
  { code: RPC_ERROR.cancelled, message: "The request was cancelled by $/cancelRequest." },
];

function contentDescriptors(params: z.ZodType) {
  const { properties = {}, required = [] } = jsonSchema(params) as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    required: required.includes(name),
    schema,
  }));
}

/** As it stands on the wire: what the schema takes in. (Transforms only narrow types for TypeScript.) */
function jsonSchema(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest;
}
