import { createHash } from "node:crypto";

import t from "tap";

import { RPC, RPC_NOTIFICATIONS } from "../../proto/rpc.ts";
import { RPC_PROTOCOL } from "../../proto/version.ts";
import { openRpcDocument } from "../../daemon/rpc/openrpc.ts";

import { Rig } from "./rig.ts";

/**
 * The control API's wire, pinned. When this fails you changed what clients see: where an older client would break,
 * raise RPC_PROTOCOL (proto/version.ts) and add its history line; then put the new hash here.
 */
const PINNED = { protocol: 1, hash: "8c9da9c33b202ab3" };

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
