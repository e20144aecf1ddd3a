import t from "tap";

import { times } from "../support/counts.ts";
import { configOf, page, PAGES } from "./snippets.ts";
import { good, load } from "./support.ts";

const counted = async (t: Parameters<typeof load>[0], name: string, dev: boolean) => {
  const { app, warnings } = good(await load(t, { "livedev.config.ts": configOf(page(name)) }, { dev }));
  const made = page(name).match(/new (?:aws|x)\.\w+|new (?:Secret|Linkable)|aws\.\w+\.get\(/g)?.length ?? 0;
  // Neither has an entry of its own.
  const without = page(name).match(/new (?:aws\.Cluster|Linkable)|\? aws\.\w+\.get\(/g)?.length ?? 0;
  const { functions, buckets, vpcs, databases, processes, secrets } = app;
  const found = [functions, buckets, vpcs, databases, processes, secrets].flat().length;
  return { found, made: made - without, warnings };
};

const PURPOSES = ["dev", "a deployment"];

for (const [index, name] of Object.keys(PAGES).entries()) {
  const purposes = times(PURPOSES, PURPOSES.slice(index % 2, (index % 2) + 1));
  t.test(`what SST's documentation shows of ${name} loads, for ${purposes.join(" and for ")}`, async (t) => {
    for (const purpose of purposes) {
      const { found, made, warnings } = await counted(t, name, purpose === "dev");
      t.equal(found, made, "each component is in the app");
      if (purpose === "dev") t.strictSame(warnings, []);
    }
  });
}

t.test("SST's own names are there too, and its globals without an import", async (t) => {
  const body = (PAGES["Globals"] ?? []).join("") + (PAGES["DevCommand"]?.[0] ?? "");
  const text = configOf(body)
    .replace(/^import .*\n/, "")
    .replace(/^export const used.*\n/m, "");
  const { app } = good(await load(t, { "livedev.config.ts": text }));
  t.strictSame(
    app.functions.map(({ name }) => name),
    ["MyFunction", "MyOther"],
  );
  const { environment } = app.functions[1] ?? {};
  t.strictSame(environment, {
    STAGE: "ann",
    NAME: "shop",
    MODE: "dev",
    BOTH: { "livedev:output": [{ ref: "MyBucket.name" }, "/", { ref: "MyFunction.url" }] },
    PAIR: {
      "livedev:output": ["Bucket: ", { ref: "MyBucket.name" }, ", URL: ", { ref: "MyFunction.url" }],
    },
    JSON: {
      "livedev:output": [
        {
          json: {
            bucket: { "livedev:output": [{ ref: "MyBucket.name" }] },
            urls: [{ "livedev:output": [{ ref: "MyFunction.url" }] }],
          },
        },
      ],
    },
  });
});
