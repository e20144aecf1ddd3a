/** The stage's lease over its time: kept by whoever renews it, and let go of by whoever cannot. */
import t from "tap";

import { Aws } from "../../daemon/aws/aws.ts";
import { Lease } from "../../daemon/deploy/lease.ts";
import type { LivedevError } from "../../daemon/lib/errors.ts";
import { silentLog } from "../../daemon/lib/log.ts";
import { TestCloud } from "../cloud/rig.ts";

/** S3 tells times to the second. */
const EXPIRY_MS = 2_500;
const RENEW_MS = 200;

t.test("who renews it keeps it; who cannot lets go of it by itself, and another has it then", async (t) => {
  const { endpoint, region, accessKeyId, secretAccessKey } = (await TestCloud.open(t)).serving;
  const credentials = { accessKeyId, secretAccessKey };
  const signal = AbortSignal.timeout(60_000);
  const open = async (
    name: string,
    onLost: (reason: LivedevError) => void = () => t.fail(`${name} lost it`),
  ) => {
    const aws = await Aws.open({ endpoint, region, credentials, log: silentLog });
    t.teardown(() => aws[Symbol.asyncDispose]());
    const acquire = async () => {
      const holder = { id: name, name: `${name}@laptop` };
      const options = { aws, app: "shop", stage: "team", holder, onLost, log: silentLog };
      const lease = await Lease.acquire(
        { ...options, renewMs: RENEW_MS, expiryMs: EXPIRY_MS },
        false,
        signal,
      );
      t.teardown(() => lease[Symbol.asyncDispose]());
    };
    return { acquire, s3: await aws.s3() };
  };

  const told: LivedevError[] = [];
  let tell = () => {};
  const lost = new Promise<void>((resolve) => (tell = resolve));
  const ann = await open("ann", (reason) => {
    told.push(reason);
    tell();
  });
  const bob = await open("bob");
  const writes = { done: 0, cut: false, counted: () => {} };
  ann.s3.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        if (writes.cut) throw new Error("no route to host");
        const answer = await next(args);
        if (commandName === "PutObjectCommand") writes.done += 1;
        writes.counted();
        return answer;
      },
    { step: "initialize" },
  );

  await ann.acquire();
  const began = Date.now();
  while (Date.now() - began < EXPIRY_MS + 1_100)
    await new Promise<void>((resolve) => (writes.counted = resolve));
  t.ok(writes.done > 5, `renewed ${writes.done} times`);
  await t.rejects(
    bob.acquire(),
    { code: "stage.held", message: /live on ann@laptop/ },
    "long after it was taken",
  );

  writes.cut = true;
  const { done } = writes;
  await lost;
  t.match(told, [{ code: "stage.leaseLost", message: /no route to host/ }]);
  writes.cut = false;
  // It was let go of without a word: nobody but S3's clock tells.
  for (let held = true; held;) {
    held = await bob.acquire().then(
      () => false,
      (error: LivedevError) => error.code === "stage.held" || Promise.reject(error),
    );
  }
  t.equal(writes.done, done, "and is not renewed any more");
  await t.rejects(ann.acquire(), { code: "stage.held", message: /live on bob@laptop/ });
  t.equal(told.length, 1, "said once");
});
