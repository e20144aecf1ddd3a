import t from "tap";

import { Rig } from "../support/rig.ts";
import { Watched } from "../support/live-stub.ts";

const FILES = {
  "livedev.config.ts": `
import { $config, aws } from "livedev";
export default $config({
  app: () => ({ name: "itself", home: "local" }),
  async run() {
    const permissions = [{ actions: ["lambda:InvokeFunction"], resources: ["*"] }];
    new aws.Function("Order", { handler: "src/order.handler", timeout: "60 seconds", permissions });
    new aws.Function("Price", { handler: "src/price.handler", timeout: "60 seconds", permissions });
  },
});
`,
  "src/invoke.ts": `
import { InvokeCommand, LambdaClient } from "@aws-sdk/client-lambda";
const lambda = new LambdaClient({});
export const invoke = (component: string) =>
  lambda.send(new InvokeCommand({ FunctionName: process.env.AWS_LAMBDA_FUNCTION_NAME!.replace(/[A-Z].*$/, component) }));
`,
  "src/order.ts": `import { invoke } from "./invoke.ts"; export const handler = async () => { await invoke("Price"); };`,
  "src/price.ts": `import { invoke } from "./invoke.ts"; export const handler = async () => { await invoke("Order"); };`,
};

t.test("a function that waits for itself through another is named by doctor, with the chain", async (t) => {
  await using rig = Rig.open({ files: FILES });
  await rig.start();
  await using watched = await Watched.open(rig);
  const gone = new AbortController();
  const invoked = watched.client.call(
    "function.invoke",
    { functionName: "Order", event: "{}" },
    { signal: gone.signal },
  );
  invoked.catch(() => {});
  const found = async () => {
    const findings = await watched.client.call("daemon.doctor", {});
    return findings.find(({ id }) => id.endsWith(".deadlock"));
  };
  let finding = await found();
  for (let seen = 0; finding === undefined; finding = await found()) {
    await watched.next("invocation.received", () => watched.events.length > seen);
    seen = watched.events.length;
  }
  t.match(finding, {
    level: "error",
    title:
      /(Order waits for itself \(Order → Price → Order\)|Price waits for itself \(Price → Order → Price\))/,
    fix: /asynchronously/,
  });
  const { stdout, code } = await rig.livedev("doctor");
  t.equal(code, 1);
  t.match(stdout, /waits for itself/);
  gone.abort();
});
