import { createHash } from "node:crypto";

import { readFileSync } from "node:fs";
import { join } from "node:path";

import metaSchema from "@open-rpc/meta-schema";
import { Ajv, type AnySchemaObject } from "ajv";
import t from "tap";

import { RPC, RPC_NOTIFICATIONS } from "../../proto/rpc.ts";
import { RPC_PROTOCOL } from "../../proto/version.ts";
import { openRpcDocument } from "../../daemon/rpc/openrpc.ts";
import { apiDocs } from "../../scripts/api-docs.ts";

import { Rig } from "./rig.ts";

/**
 * The control API's wire, pinned. When this fails you changed what clients see: where an older client would break,
 * raise RPC_PROTOCOL (proto/version.ts) and add its history line; then put the new hash here.
 */
const PINNED = { protocol: 1, hash: "0fa48b6f8b8b324d" };

void t.test("the control API's wire is the one that its protocol version names", async (t) => {
  const hash = createHash("sha256")
    .update(JSON.stringify(openRpcDocument("pinned")))
    .digest("hex");
  t.same({ protocol: RPC_PROTOCOL, hash: hash.slice(0, 16) }, PINNED);
});

void t.test("rpc.discover gives every method and notification with its schema", async (t) => {
  await using rig = await Rig.open();
  const wire = await rig.wire();
  const { result } = await wire.call("rpc.discover");
  t.equal(result.openrpc, "1.3.2");
  t.equal(result.info.version, "0.0.0-test");
  const names = result.methods.map(({ name }: { name: string }) => name);
  t.same(names, Object.keys(RPC));
  t.same(
    result["x-notifications"].map(({ name }: { name: string }) => name),
    Object.keys(RPC_NOTIFICATIONS),
  );
  const list = result.methods.find(({ name }: { name: string }) => name === "invocation.list");
  const param = (wanted: string) => list.params.find(({ name }: { name: string }) => name === wanted);
  t.match(param("functionName"), { required: false, schema: { type: "string" } });
  t.match(param("before"), { required: false, schema: { type: "integer" } });
  t.match(param("limit"), { required: false, schema: { type: "integer", minimum: 1, maximum: 1000 } });
  t.equal(list.result.schema.type, "array");
});

void t.test("rpc.discover is a document that OpenRPC's own schema takes", async (t) => {
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  // The default export of a CommonJS module stands inside its default export.
  const { $schema: _, ...openRpc } = (metaSchema as unknown as { default: AnySchemaObject }).default;
  // What it names by address, with and without the slash: JSON Schemas, which are looked at below.
  const jsonSchema = { definitions: { JSONSchemaObject: { properties: { $ref: { type: "string" } } } } };
  for (const address of ["https://meta.json-schema.tools", "https://meta.json-schema.tools/"]) {
    ajv.addSchema(jsonSchema, address);
  }
  const validate = ajv.compile(openRpc);
  t.ok(validate(openRpcDocument("1.2.3")), JSON.stringify(validate.errors?.slice(0, 3)));
  t.notOk(validate({ openrpc: "1.3.2", info: {}, methods: [{}] }), "it does refuse");

  // The schemas inside are JSON Schemas that a validator compiles.
  const { methods } = openRpcDocument("1.2.3");
  for (const { params, result } of methods) {
    for (const { schema } of [...params, result])
      new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
  }
  t.comment(`${methods.length} methods`);
});

void t.test("docs/api.md is what the schemas say now", async (t) => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/api.md"), "utf8");
  t.ok(text === apiDocs(), "run `npx tsx scripts/api-docs.ts`");
});
