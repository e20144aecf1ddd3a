import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { ListFunctionsCommand } from "@aws-sdk/client-lambda";
import t from "tap";

import { Aws } from "../../daemon/aws/aws.ts";
import { proxyFor } from "../../daemon/aws/proxy.ts";
import { silentLog } from "../../daemon/lib/log.ts";

void t.test("HTTPS_PROXY and NO_PROXY are read as other programs read them", async (t) => {
  const proxy = "http://proxy.example:3128";
  const of = (environment: Record<string, string>, host = "lambda.us-east-1.amazonaws.com") =>
    proxyFor(host, environment);
  t.equal(of({}), undefined);
  t.equal(of({ HTTPS_PROXY: proxy }), proxy);
  t.equal(of({ https_proxy: proxy, HTTPS_PROXY: "other" }), proxy);
  t.equal(of({ HTTPS_PROXY: "" }), undefined);
  for (const NO_PROXY of ["*", "a.example, amazonaws.com", ".amazonaws.com", "*.amazonaws.com:443"]) {
    t.equal(of({ HTTPS_PROXY: proxy, NO_PROXY }), undefined, NO_PROXY);
  }
  t.equal(of({ HTTPS_PROXY: proxy, NO_PROXY: "aws.com,onaws.com" }), proxy);
});

void t.test("the AWS clients reach AWS through the proxy", async (t) => {
  const asked: (string | undefined)[] = [];
  const proxy = createServer();
  proxy.on("connect", (request, socket) => {
    asked.push(request.url);
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  t.teardown(() => proxy.close());
  process.env["HTTPS_PROXY"] = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  t.teardown(() => delete process.env["HTTPS_PROXY"]);
  const credentials = { accessKeyId: "a", secretAccessKey: "b" };
  const aws = await Aws.open({ region: "eu-west-1", credentials, log: silentLog });
  t.teardown(() => aws[Symbol.asyncDispose]());
  const lambda = await aws.invoker();
  await t.rejects(lambda.send(new ListFunctionsCommand({})));
  t.same(asked, ["lambda.eu-west-1.amazonaws.com:443"]);
});
