import { once } from "node:events";

import t from "tap";

import { ownEnvironment } from "../../stub/environment.ts";
import { TestRuntimeApi } from "../support/runtime-api.ts";
import { StubProcess } from "../support/stub.ts";

t.test("broken settings end the init with one sentence that names the command", async (t) => {
  for (const [settings, what] of [
    ["{", /is not JSON/],
    [{ version: 2 }, /version 2/],
    [{ key: "abc" }, /no key/],
    [{ addresses: [] }, /no address/],
    [{ addresses: [{ address: "http://x", match: "*" }] }, /no address/],
    [{ addresses: [{ address: "wss://", match: "*" }] }, /no address/],
    [{ addresses: [{ address: "tls://x:1", match: "other" }] }, /no address for api/],
    [{ whenAway: "sleep" }, /whenAway/],
    [{ app: "" }, /no app/],
  ] as const) {
    await using runtime = await TestRuntimeApi.open();
    const failed = runtime.initError();
    await using stub = new StubProcess({ runtimeApi: runtime.address, port: 1, settings });
    const posted = await failed;
    const body = JSON.parse(posted.body.toString());
    t.match(body, { errorType: "Livedev.SettingsBroken", errorMessage: what });
    t.match(body.errorMessage, /livedevd start/);
    if (stub.child.exitCode === null) await once(stub.child, "exit");
    t.equal(stub.child.exitCode, 1);
  }
});

t.test("AWS's own variables travel, ours and the user's do not", async (t) => {
  t.strictSame(
    ownEnvironment({
      AWS_REGION: "eu-west-1",
      AWS_SECRET_ACCESS_KEY: "s",
      AWS_LAMBDA_RUNTIME_API: "127.0.0.1:9001",
      AWS_LAMBDA_EXEC_WRAPPER: "/var/task/livedev",
      AWS_LAMBDA_FUNCTION_NAME: "f",
      _HANDLER: "index.handler",
      _X_AMZN_TRACE_ID: "Root=1",
      LAMBDA_TASK_ROOT: "/var/task",
      TZ: ":UTC",
      LANG: "en_US.UTF-8",
      LIVEDEV_LOG: "x",
      TABLE: "x",
      MY_AWS_X: "x",
      PATH: "/bin",
    }),
    {
      AWS_REGION: "eu-west-1",
      AWS_SECRET_ACCESS_KEY: "s",
      AWS_LAMBDA_FUNCTION_NAME: "f",
      _HANDLER: "index.handler",
      _X_AMZN_TRACE_ID: "Root=1",
      LAMBDA_TASK_ROOT: "/var/task",
      TZ: ":UTC",
      LANG: "en_US.UTF-8",
    },
  );
});
