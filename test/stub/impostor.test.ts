import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";

import t from "tap";

import { TestRuntimeApi } from "../support/runtime-api.ts";
import { StubProcess } from "../support/stub.ts";
import { ownFolder } from "../support/folder.ts";

t.test("a server with a trusted certificate but without the stage's key hears nothing", async (t) => {
  const folder = ownFolder(t);
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, ...subject], {
    stdio: "ignore",
  });
  let heard = 0;
  let tried = 0;
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
    socket.on("data", (data) => (heard += data.length)).on("error", () => {});
  });
  server.on("connection", () => (tried += 1)).on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  t.teardown(() => server.close());
  await once(server, "listening");

  const api = await TestRuntimeApi.open();
  t.teardown(() => api[Symbol.asyncDispose]());
  const stub = new StubProcess({
    runtimeApi: api.address,
    port: (server.address() as AddressInfo).port,
    // As trusted as a public authority's.
    env: { NODE_EXTRA_CA_CERTS: cert },
  });
  t.teardown(() => stub[Symbol.asyncDispose]());
  const answer = await api.invoke("{}");
  t.equal(answer.to, "error", "nobody answers for the function");
  t.ok(tried > 0, "it was asked");
  t.equal(heard, 0, "and was told nothing, credentials least of all");
});
