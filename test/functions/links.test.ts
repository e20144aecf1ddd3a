/** What links and outputs come to, as far as the stage stands. */
import t from "tap";

import { linked, lookupOf, type Known } from "../../daemon/links.ts";
import { OUTPUT, type WantedApp } from "../../proto/app.ts";
import { wanted } from "./rig.ts";

t.test(
  "a link's outputs are filled in once what they stand for is deployed, and are null until then",
  async (t) => {
    const output = { [OUTPUT]: ["see ", { ref: "Other.url" }, "books"] };
    const link = [{ name: "Other", properties: { name: "other", nested: [output] } }];
    const app: WantedApp = {
      name: "shop",
      stage: "ada",
      home: "local",
      region: "eu-west-1",
      watch: ["."],
      buckets: [],
      stacks: [],
      vpcs: [],
      databases: [],
      processes: [],
      secrets: [],
      removal: "remove",
      functions: [wanted("Api", { link }), wanted("Other")],
    };
    const properties = (deployed: Known["deployed"]) =>
      linked(app, lookupOf(app, { deployed }))[0]?.link[0]?.properties;
    t.same(properties({}), { name: "other", nested: [null] });
    t.same(properties({ Other: { functionArn: "arn" } }), { name: "other", nested: [null] });
    t.same(properties({ Other: { functionArn: "arn", url: "http://127.0.0.1:1/" } }), {
      name: "other",
      nested: ["see http://127.0.0.1:1/books"],
    });
    t.equal(app.functions[0]?.link, link, "the app stays as it was");
  },
);
