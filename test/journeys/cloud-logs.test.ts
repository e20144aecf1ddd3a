/** `livedev logs` of functions that run in AWS: what CloudWatch has of them, on moto. */
import {
  CloudWatchLogsClient,
  CreateLogGroupCommand,
  CreateLogStreamCommand,
  PutLogEventsCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import t from "tap";

import { Moto, motoMissing } from "../deploy/moto.ts";
import { Rig } from "../support/rig.ts";

t.setTimeout(120_000);

type Line = { readonly functionName: string; readonly text: string; readonly eventId?: string };

void t.test(
  "logs of deployed code come out of CloudWatch: by time, by expression, as they come, each once",
  { skip: motoMissing },
  async (t) => {
    const moto = await Moto.open(t, { callsPerSecond: Number.POSITIVE_INFINITY });
    const { endpoint, region, accessKeyId, secretAccessKey } = moto.serving;
    const rig = Rig.open({
      files: {
        "livedev.config.ts": `
          import { $config, aws } from "livedev";
          export default $config({
            app: () => ({ name: "shop", home: "aws", endpoint: "${endpoint}", removal: "remove" }),
            async run() {
              new aws.Function("Api", { handler: "src/api.handler" });
              new aws.Function("Far", { handler: "src/api.handler", dev: false });
            },
          });`,
        "src/api.ts": "export const handler = async () => 1;",
      },
    });
    t.teardown(() => rig[Symbol.asyncDispose]());
    Object.assign(rig.env, {
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      LIVEDEV_STAGE: "production",
    });
    const client = new CloudWatchLogsClient({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
    });
    t.teardown(() => client.destroy());
    const made = new Set<string>();
    const say = async (component: string, lines: readonly (readonly [ageMs: number, text: string])[]) => {
      const logGroupName = `/aws/lambda/shop-production-${component}`;
      const logStreamName = "2030/01/31/[$LATEST]0123456789abcdef";
      if (!made.has(component)) {
        made.add(component);
        await client.send(new CreateLogGroupCommand({ logGroupName }));
        await client.send(new CreateLogStreamCommand({ logGroupName, logStreamName }));
      }
      const now = Date.now();
      const logEvents = lines.map(([ageMs, message]) => ({
        timestamp: now - ageMs,
        message: `${message}\n`,
      }));
      await client.send(new PutLogEventsCommand({ logGroupName, logStreamName, logEvents }));
    };
    const logs = async (...args: readonly string[]): Promise<string[]> => {
      const { code, stdout, stderr } = await rig.livedev("logs", "--json", ...args);
      t.equal(code, 0, stderr);
      return stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Line)
        .map(({ functionName, text }) => `${functionName}: ${text}`);
    };

    t.equal((await rig.livedev("deploy")).code, 0);
    t.same(await logs(), [], "functions that never ran have no log group");
    await say("Api", [
      [1_800_000, "old"],
      [60_000, "first"],
      [20_000, "third: refused"],
    ]);
    await say("Far", [[40_000, "second"]]);
    t.same(await logs("--since", "5m"), ["Api: first", "Far: second", "Api: third: refused"]);
    t.same(await logs("--limit", "2"), ["Far: second", "Api: third: refused"]);
    t.same(await logs("--fn", "Far"), ["Far: second"]);
    t.same(await logs("--grep", "ol|refu"), ["Api: old", "Api: third: refused"]);

    t.equal((await rig.livedevd("stop")).code, 0);
    const stopped = await rig.livedev("logs", "--json");
    t.equal(stopped.stdout, "", "where no daemon runs nothing is started for it");
    t.same(await logs("--cloud", "--since", "30s"), ["Api: third: refused"], "unless it is asked for");

    const child = rig.spawn("livedev.js", ["logs", "--follow", "--json"]);
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const seen: string[] = [];
    let wake = () => {};
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      seen.push(
        ...text
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => (JSON.parse(line) as Line).text),
      );
      wake();
    });
    const until = async (text: string) => {
      while (!seen.includes(text)) await new Promise<void>((resolve) => (wake = resolve));
    };
    await until("third: refused");
    await say("Api", [[0, "fourth"]]);
    await until("fourth");
    // One that came late, older than what was there.
    await say("Far", [[10_000, "late"]]);
    await until("late");
    child.kill("SIGINT");
    await ended;
    t.same(seen, ["old", "first", "second", "third: refused", "fourth", "late"], "each once");

    t.equal((await rig.livedevd("start", "--yes")).code, 0);
    t.same(
      await logs("--since", "5m"),
      ["Far: second", "Far: late"],
      "of a live stage those with dev: false",
    );
  },
);
