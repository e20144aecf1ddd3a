import { GetRoleCommand } from "@aws-sdk/client-iam";
import { ListFunctionsCommand, UpdateFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { AssumeRoleCommand, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import t from "tap";

import { openSession } from "../../daemon/cloud/sessions.ts";
import { signRequest } from "../../daemon/cloud/sigv4.ts";
import type { CloudState } from "../../daemon/cloud/state.ts";
import { ECHO, TestCloud } from "./rig.ts";

const cloud = await TestCloud.open(t);
const { serving } = cloud;
const list = new ListFunctionsCommand({});
const name = await cloud.function(ECHO);

void t.test("a wrong secret, an unknown key and a forged session are told apart as AWS does", async (t) => {
  const { accessKeyId, secretAccessKey } = serving;
  await t.rejects(cloud.lambda({ accessKeyId, secretAccessKey: "wrong" }).send(list), {
    name: "InvalidSignatureException",
    message: /signature we calculated does not match/,
    $metadata: { httpStatusCode: 403 },
  });
  await t.rejects(cloud.lambda({ accessKeyId: "AKIAUNKNOWN", secretAccessKey }).send(list), {
    name: "UnrecognizedClientException",
    message: /security token included in the request is invalid/,
  });
  await t.rejects(cloud.lambda({ accessKeyId, secretAccessKey, sessionToken: "AAAA" }).send(list), {
    name: "UnrecognizedClientException",
  });
  const identity = new GetCallerIdentityCommand({});
  await t.rejects(cloud.sts({ accessKeyId, secretAccessKey: "wrong" }).send(identity), {
    name: "SignatureDoesNotMatch",
  });
  await t.rejects(cloud.sts({ accessKeyId: "AKIAUNKNOWN", secretAccessKey }).send(identity), {
    name: "InvalidClientTokenId",
  });
  await t.rejects(
    cloud.iam({ accessKeyId, secretAccessKey: "wrong" }).send(new GetRoleCommand({ RoleName: "x" })),
    {
      name: "SignatureDoesNotMatch",
    },
  );
});

void t.test("a session serves until it expires, and its token cannot be changed", async (t) => {
  const RoleArn = await cloud.role("session");
  const { Credentials } = await cloud
    .sts()
    .send(new AssumeRoleCommand({ RoleArn, RoleSessionName: "ann", DurationSeconds: 900 }));
  const session = {
    accessKeyId: Credentials?.AccessKeyId ?? "",
    secretAccessKey: Credentials?.SecretAccessKey ?? "",
    sessionToken: Credentials?.SessionToken ?? "",
  };
  t.match((await cloud.lambda(session).send(list)).Functions, [{ FunctionName: name }]);
  t.match(await cloud.sts(session).send(new GetCallerIdentityCommand({})), {
    Arn: `arn:aws:sts::${serving.accountId}:assumed-role/session/ann`,
    Account: serving.accountId,
  });
  const state = JSON.parse(readFileSync(join(cloud.stateDir, "cloud.json"), "utf8")) as CloudState;
  const expired = openSession(state, state.roles["session"]!, "ann", -1);
  await t.rejects(cloud.lambda(expired).send(list), {
    name: "ExpiredTokenException",
    message: "The security token included in the request is expired",
  });
  await t.rejects(cloud.sts(expired).send(new GetCallerIdentityCommand({})), { name: "ExpiredToken" });
  await t.rejects(
    cloud
      .lambda({
        ...session,
        sessionToken: openSession(state, state.roles["session"]!, "bob", 900).sessionToken,
      })
      .send(list),
    {
      name: "UnrecognizedClientException",
    },
  );
});

/** A request that a client signed, changed on its way. */
async function sent(
  change: (request: { headers: Record<string, string>; body: string; path: string }) => void,
): Promise<{ status: number; type: string; body: string }> {
  const body = JSON.stringify({ Timeout: 5 });
  const url = new URL(`/2015-03-31/functions/${name}/configuration?a=1&a=2&b=%2F%20x`, serving.endpoint);
  const headers = await signRequest(
    { method: "PUT", url, body: Buffer.from(body) },
    serving,
    serving.region,
    "lambda",
  );
  const changed = { headers, body, path: url.pathname + url.search };
  change(changed);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: url.hostname, port: url.port, method: "PUT", path: changed.path, headers: changed.headers },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            type: String(response.headers["x-amzn-errortype"] ?? ""),
            body: text,
          }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(changed.body);
  });
}

void t.test(
  "whatever of a signed request is changed on its way, it is refused and changes nothing",
  async (t) => {
    t.match(await sent(() => undefined), { status: 200 }, "as it was signed it is accepted");
    const before = await cloud.lambda().send(new UpdateFunctionConfigurationCommand({ FunctionName: name }));
    const changes: readonly [string, Parameters<typeof sent>[0], string][] = [
      ["the body", (one) => (one.body = one.body.replace("5", "6")), "InvalidSignatureException"],
      ["the path", (one) => (one.path = one.path.replace(name, `${name}x`)), "InvalidSignatureException"],
      ["the query", (one) => (one.path = one.path.replace("a=2", "a=3")), "InvalidSignatureException"],
      [
        "a signed header",
        (one) => (one.headers["x-amz-date"] = shifted(one.headers["x-amz-date"], 1)),
        "InvalidSignatureException",
      ],
      [
        "an old date",
        (one) => (one.headers["x-amz-date"] = shifted(one.headers["x-amz-date"], -600)),
        "InvalidSignatureException",
      ],
      ["no signature", (one) => delete one.headers["authorization"], "MissingAuthenticationTokenException"],
      [
        "another scheme",
        (one) => (one.headers["authorization"] = "Basic abc"),
        "IncompleteSignatureException",
      ],
      [
        "the host not signed",
        (one) => (one.headers["authorization"] = one.headers["authorization"]?.replace("host;", "") ?? ""),
        "IncompleteSignatureException",
      ],
    ];
    for (const [what, change, type] of changes) {
      const { status, type: given, body } = await sent(change);
      t.equal(status, 403, what);
      t.equal(given, type, what);
      t.match(JSON.parse(body), { Message: String }, what);
    }
    const after = await cloud.lambda().send(new UpdateFunctionConfigurationCommand({ FunctionName: name }));
    t.equal(after.Timeout, before.Timeout);
  },
);

void t.test("web pages and rebound names are refused, whatever they sign", async (t) => {
  for (const origin of ["https://evil.example", "null", serving.endpoint]) {
    t.match(
      await sent((one) => (one.headers["origin"] = origin)),
      { status: 403, type: "AccessDeniedException" },
      origin,
    );
  }
  for (const host of ["evil.example", "127.0.0.1", `127.1:${new URL(serving.endpoint).port}`]) {
    t.match(
      await sent((one) => (one.headers["host"] = host)),
      { status: 403, type: "AccessDeniedException" },
      host,
    );
  }
  const unsigned = await fetch(new URL("/livedev/status", serving.endpoint));
  t.equal(unsigned.status, 403, "its own status needs a signature too");
});

void t.test("what is signed for another service is refused", async (t) => {
  const url = new URL("/2015-03-31/functions/", serving.endpoint);
  const headers = await signRequest({ method: "GET", url }, serving, serving.region, "dynamodb");
  const response = await fetch(url, { headers });
  t.equal(response.status, 403);
  t.match(await response.json(), { Message: /scoped to correct service/ });
});

/** An ISO 8601 basic date some seconds later. */
function shifted(date = "", seconds: number): string {
  const iso = date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  return new Date(Date.parse(iso) + seconds * 1000).toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
}
