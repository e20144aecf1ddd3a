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
export const invoke = (component: string, event = {}) =>
  lambda.send(
    new InvokeCommand({
      FunctionName: process.env.AWS_LAMBDA_FUNCTION_NAME!.replace(/[A-Z].*$/, component),
      Payload: JSON.stringify(event),
    }),
  );
`,
  // Ten may run at a time: the first, and the nine that its Price waits for. Each of the nine waits for one more.
  "src/order.ts": `
import { invoke } from "./invoke.ts";
export const handler = async ({ part }: { part?: number }) => { await invoke(part === undefined ? "Price" : "Order", { part }); };
`,
  "src/price.ts": `
import { invoke } from "./invoke.ts";
export const handler = async () => { await Promise.all(Array.from({ length: 9 }, (_, part) => invoke("Order", { part }))); };
`,
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
  const orders = (type: "invocation.begun" | "invocation.received") =>
    watched.events.filter((event) => event.type === type && event.functionName === "Order").length;
  await watched.next(
    "invocation.received",
    () => orders("invocation.begun") === 10 && orders("invocation.received") === 19,
  );
  const finding = await found();
  t.match(finding, {
    level: "error",
    title: /Order waits for itself \(Order → Price → Order\)/,
    fix: /asynchronously/,
  });
  const { stdout, code } = await rig.livedev("doctor");
  t.equal(code, 1);
  t.match(stdout, /waits for itself/);
  gone.abort();
  // What waits for ever is not waited for: the rig's own stop is the second.
  await watched.client.call("daemon.stop", {});
});
