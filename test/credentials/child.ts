/** Loads the stage's key in a process of its own when it is told to, and prints it. */
import { loadStageKey } from "../../daemon/credentials/stage-key.ts";

process.send?.("ready");
await new Promise((resolve) => process.once("message", resolve));
const { keyId, key } = await loadStageKey(process.argv[2] ?? "");
process.send?.({ keyId, key: Buffer.from(key).toString("hex") }, () => process.disconnect());
