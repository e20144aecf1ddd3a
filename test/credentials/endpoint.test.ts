import t from "tap";

import { CredentialsEndpoint } from "../../daemon/credentials/endpoint.ts";
import { silentLog } from "../../daemon/lib/log.ts";

t.test(
  "a path that is no encoding of a name is refused like any other, and the endpoint serves on",
  async (t) => {
    const refused: string[] = [];
    await using endpoint = await CredentialsEndpoint.open({
      port: 0,
      key: Buffer.alloc(32, 7),
      credentials: async () => ({ AWS_ACCESS_KEY_ID: "id" }),
      onRefused: (reason) => void refused.push(reason),
      log: silentLog,
    });
    const { AWS_CONTAINER_CREDENTIALS_FULL_URI: url = "", AWS_CONTAINER_AUTHORIZATION_TOKEN: token = "" } =
      endpoint.variables("Api");
    t.equal((await fetch(url.replace("Api", "%zz"))).status, 403);
    t.same(refused, ["there is no such path"]);
    t.equal((await fetch(url, { headers: { authorization: token } })).status, 200);
  },
);
