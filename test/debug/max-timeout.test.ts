/** `livedev debug on --max-timeout`: deployed time-outs are raised for debugging, and put back however it ends. */
import { GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import t from "tap";

import { lambdaOf } from "../support/talk.ts";
import { Debugged } from "./support.ts";

const debugged = await Debugged.open(["One"], { One: "3 seconds" });
t.teardown(() => debugged[Symbol.asyncDispose]());
const { rig, client } = debugged;
rig.save(
  "src/One.ts",
  `export const handler = async (_event: object, context: { getRemainingTimeInMillis(): number }) =>
  context.getRemainingTimeInMillis();\n`,
);

const lambda = await lambdaOf(rig);
t.teardown(() => lambda.destroy());

/** As the cloud has it. */
async function timeout(): Promise<number | undefined> {
  return (await lambda.send(new GetFunctionConfigurationCommand({ FunctionName: "debugged-dev-One" })))
    .Timeout;
}

const RAISED = 900;

t.test("AWS waits for 15 minutes, and the handler is told so, until debugging is off", async (t) => {
  t.equal(await timeout(), 3);
  const { stdout } = await rig.livedev("debug", "on", "--max-timeout");
  t.match(stdout, /raised to 15 minutes/);
  t.equal(await timeout(), RAISED);
  const remaining = Number(await debugged.invoke("One"));
  t.ok(remaining > 800_000 && remaining <= 900_000, `${remaining} ms`);
  t.equal((await rig.livedev("debug", "off")).code, 0);
  t.equal(await timeout(), 3);
});

t.test("a daemon that comes after a killed one knows of it", async (t) => {
  await client.call("debug.on", { port: 0, maxTimeout: true });
  await debugged.killDaemon();
  t.equal(await timeout(), RAISED, "the session goes on");
  t.match(await client.call("debug.status", {}), { state: "on", maxTimeout: true });
  await client.call("debug.off", {});
  t.equal(await timeout(), 3);
});

t.test("killed while it puts them back: the next one does", async (t) => {
  await client.call("debug.on", { port: 0, maxTimeout: true });
  t.equal(await timeout(), RAISED);
  const from = debugged.events.length;
  const off = client.call("debug.off", {}).catch(() => "killed");
  await debugged.recorded("deploy.started", () => true, from);
  process.kill(rig.daemonPid(), "SIGKILL");
  await off;
  await rig.start();
  t.match(await client.call("debug.status", {}), { state: "off" });
  t.equal(await timeout(), 3);
});

t.test("a daemon that is stopped puts them back first", async (t) => {
  await client.call("debug.on", { port: 0, maxTimeout: true });
  t.equal(await timeout(), RAISED);
  t.equal((await rig.livedevd("stop")).code, 0);
  t.equal(await timeout(), 3);
});
