import t from "tap";

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

for (const name of Object.keys(PAGES)) {
  t.test(`what SST's documentation shows of ${name} loads, for dev and for a deployment`, async (t) => {
    const dev = await counted(t, name, true);
    t.equal(dev.found, dev.made, "each component is in the app");
    t.strictSame(dev.warnings, []);
    const deployed = await counted(t, name, false);
    t.equal(deployed.found, deployed.made, "and in a deployment");
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
