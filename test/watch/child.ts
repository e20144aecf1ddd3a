/** Watches a project and prints what it is told, a line each, until its stdin ends: `child.ts <root> <input …>`. */
import { openLog } from "../../daemon/lib/log.ts";
import { Watch } from "../../daemon/watch/watch.ts";

const [root = ".", ...files] = process.argv.slice(2);
const print = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);
await using watch = await Watch.open({ root, log: openLog(process.stdout, "info"), onBatch: print });
watch.apply({ folders: ["."], files });
await watch.settled();
print({ settled: true });
for await (const _ of process.stdin);
