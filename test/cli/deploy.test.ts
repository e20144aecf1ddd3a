/** `livedev deploy` at a terminal: what runs, what is done and how long it took, and then where it answers. */
import { join } from "node:path";

import t from "tap";

import { deferred } from "../../daemon/lib/scope.ts";
import { Terminal } from "../support/pty.ts";
import { ROOT } from "../support/rig.ts";
import { FakeDaemon, STATUS } from "./fake-daemon.ts";

t.test("its progress is live, each resource has its time, and URLs come before other outputs", async (t) => {
  const going = deferred<void>();
  await using daemon = await FakeDaemon.open({
    "stage.deploy": async () => {
      const record = (event: Parameters<typeof daemon.history.record>[0]) => daemon.history.record(event);
      record({ type: "deploy.started", steps: 2 });
      await going.promise;
      record({ type: "deploy.stepped", step: "create", resource: 'aws.Bucket "Files"', tookMs: 340 });
      record({ type: "deploy.stepped", step: "run", resource: 'aws.Nextjs "Web"', tookMs: 12_300 });
      // Answered when its events are on their way, as the real one does.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      return {
        steps: 2,
        tookMs: 12_700,
        urls: { Web: "https://web.example/", MyApi: "https://api.example/" },
        outputs: { bucket: "shop-dev-files" },
      };
    },
    "daemon.status": () => Promise.resolve(STATUS),
  });
  const { NO_COLOR: _none, ...env } = daemon.rig.env;
  const screen = new Terminal([process.execPath, join(ROOT, "dist", "livedev.js"), "deploy"], {
    cwd: daemon.rig.project,
    env: { ...env, TERM: "xterm" },
  });
  // Two looks at the line that runs: its seconds go on.
  const [, first = ""] = await screen.until(/Deploying, 2 steps … ([\d.]+ m?s)/);
  await screen.until(new RegExp(`Deploying, 2 steps … (?!${first.replaceAll(".", "\\.")})[\\d.]+ m?s`));
  going.resolve();
  t.equal(await screen.ended(), 0);
  // oxlint-disable-next-line no-control-regex -- colours
  const plain = screen.shown.replaceAll(/\u001B\[[\d;]*[A-Za-z]/g, "").replaceAll("\r\n", "\n");
  t.match(plain, /✓ create aws\.Bucket "Files" {2}340 ms\n/);
  t.match(plain, /✓ run aws\.Nextjs "Web" {2}12\.3 s\n/);
  t.match(
    plain,
    /shop is deployed to dev: 2 steps in 12\.7 s\nWeb +https:\/\/web\.example\/\nMyApi +https:\/\/api\.example\/\nbucket +shop-dev-files\n$/,
  );
});
