/** How long an AWS that is not there is tried for, and one that comes a moment later. */
import { createServer, type Server } from "node:http";

import { ListFunctionsCommand } from "@aws-sdk/client-lambda";
import t, { type Test } from "tap";

import { freePort } from "../support/free-port.ts";
import { Aws } from "../../daemon/aws/aws.ts";
import { explainAws } from "../../daemon/aws/failure.ts";
import { silentLog } from "../../daemon/lib/log.ts";

const credentials = { accessKeyId: "a", secretAccessKey: "b" };

async function openAws(t: Test, endpoint: string): Promise<Aws> {
  const aws = await Aws.open({ region: "eu-west-1", endpoint, credentials, log: silentLog });
  t.teardown(() => aws[Symbol.asyncDispose]());
  return aws;
}

/** Milliseconds until it is said that nobody is there. */
async function untilNamed(t: Test, endpoint: string): Promise<number> {
  const aws = await openAws(t, endpoint);
  const client = await aws.lambda();
  const began = performance.now();
  const error = await client.send(new ListFunctionsCommand({})).then(
    () => undefined,
    (thrown: unknown) => explainAws(thrown, "ListFunctions", aws.where),
  );
  t.match(error, { code: "aws.unreachable", message: new RegExp(endpoint) });
  return performance.now() - began;
}

void t.test("an address where nobody listens is named within seconds", async (t) => {
  t.ok((await untilNamed(t, `http://127.0.0.1:${await freePort()}`)) < 10_000);
});

void t.test("so is a name that nobody knows", async (t) => {
  t.ok((await untilNamed(t, "http://aws.invalid")) < 10_000);
});

void t.test("who comes a moment later is met", async (t) => {
  const port = await freePort();
  const aws = await openAws(t, `http://127.0.0.1:${port}`);
  const client = await aws.lambda();
  let server: Server | undefined;
  t.teardown(() => server?.close());
  // Inside the SDK's own retries: the server comes once the first try has failed.
  (client.middlewareStack as unknown as { add: Function }).add(
    (next: (args: unknown) => Promise<unknown>) => async (args: unknown) => {
      try {
        return await next(args);
      } catch (error) {
        if (server === undefined) {
          server = createServer((_, answer) => void answer.end(`{ "Functions": [] }`));
          await new Promise<void>((resolve) => server?.listen(port, "127.0.0.1", resolve));
        }
        throw error;
      }
    },
    { step: "finalizeRequest", priority: "low", name: "opens" },
  );
  t.same((await client.send(new ListFunctionsCommand({}))).Functions, []);
});
