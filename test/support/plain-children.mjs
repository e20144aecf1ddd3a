/**
 * tap hooks its process recorder into every process that a test starts (NODE_OPTIONS): slower, at odds with some
 * programs, and not what a user's machine runs. The processes of our tests are started plain.
 */
import processOnSpawn from "process-on-spawn";

processOnSpawn.removeAllListeners();
delete process.env["NODE_OPTIONS"];
for (const name of Object.keys(process.env)) if (name.startsWith("_TAPJS_")) delete process.env[name];
