/** The first-time question: stubs would replace deployed code. */
import { join } from "node:path";

import t from "tap";

import { LivedevError } from "../../proto/errors.ts";
import { some } from "../support/counts.ts";
import { Terminal } from "../support/pty.ts";
import { ROOT } from "../support/rig.ts";
import { FakeDaemon, STATUS } from "./fake-daemon.ts";

const REFUSAL = "Stage dev of shop holds deployed code that stubs would replace: MyApi.";

async function holdingCode(calls: unknown[]): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.open({
    "stage.goLive": (params) => {
      calls.push(params);
      if (params.yes !== true) return Promise.reject(new LivedevError("stage.holdsCode", REFUSAL));
      daemon.history.record({ type: "deploy.started", steps: 1 });
      daemon.history.record({
        type: "deploy.stepped",
        step: "update",
        resource: "function MyApi",
        tookMs: 12,
      });
      // Answered when its events are on their way, as the real one does.
      return new Promise((resolve) => {
        setImmediate(() =>
          setImmediate(() => resolve({ steps: 1, tookMs: 20, urls: { MyApi: "http://127.0.0.1:9/" } })),
        );
      });
    },
    "daemon.status": () => Promise.resolve(STATUS),
  });
  return daemon;
}

function terminal(daemon: FakeDaemon, ...args: readonly string[]): Terminal {
  const { NO_COLOR: _none, ...env } = daemon.rig.env;
  return new Terminal([process.execPath, join(ROOT, "dist", "livedevd.js"), ...args], {
    cwd: daemon.rig.project,
    env: { ...env, TERM: "xterm" },
  });
}

t.test("on a terminal it asks; yes goes live, with each step as it happens", async (t) => {
  const calls: unknown[] = [];
  await using daemon = await holdingCode(calls);
  const screen = terminal(daemon, "start");
  await screen.until(/MyApi\.\r\nReplace it by stubs\? \[y\/N\] /);
  screen.type("y\r");
  t.equal(await screen.ended(), 0);
  t.same(calls, [{}, { yes: true }]);
  // oxlint-disable-next-line no-control-regex -- colours
  const plain = screen.shown.replaceAll(/\u001B\[[\d;]*[A-Za-z]/g, "");
  t.match(plain, /✓ update function MyApi {2}12 ms/);
  t.match(
    plain,
    /shop is live \(stage dev, pid \d+, 1 step in 20 ms\)\r\n {2}MyApi {2}http:\/\/127\.0\.0\.1:9\//,
  );
  t.match(screen.shown, "\u001B[", "in colour");
});

t.test("anything but yes changes nothing", async (t) => {
  for (const keys of some(["\r", "n\r", "\u0004"], 1)) {
    const calls: unknown[] = [];
    await using daemon = await holdingCode(calls);
    const screen = terminal(daemon, "start");
    await screen.until(/\[y\/N\] /);
    screen.type(keys);
    t.equal(await screen.ended(), 1, JSON.stringify(keys));
    t.same(calls, [{}]);
    t.match(screen.shown, "Nothing was changed");
  }
});

t.test("Ctrl-C at the question interrupts", async (t) => {
  const calls: unknown[] = [];
  await using daemon = await holdingCode(calls);
  const screen = terminal(daemon, "start");
  await screen.until(/\[y\/N\] /);
  screen.type("\u0003");
  t.equal(await screen.ended(), 130);
  t.same(calls, [{}]);
});

t.test("without a terminal it refuses and names --yes, which agrees", async (t) => {
  const calls: unknown[] = [];
  await using daemon = await holdingCode(calls);
  const refused = await daemon.rig.livedevd("start");
  t.match(refused, {
    code: 1,
    stdout: "",
    stderr: `${REFUSAL}\nAgree with --yes: \`livedevd start --yes\`.\n`,
  });
  const json = await daemon.rig.livedevd("start", "--json");
  t.equal(json.code, 1);
  t.match(JSON.parse(json.stdout), { error: { code: "stage.holdsCode", message: REFUSAL, hint: /--yes/ } });

  const agreed = await daemon.rig.livedevd("start", "--yes", "--json");
  t.equal(agreed.code, 0);
  t.equal(agreed.stderr, "");
  t.match(JSON.parse(agreed.stdout), {
    urls: { MyApi: /^http/ },
    pid: process.pid,
    steps: 1,
    tookMs: 20,
    stage: "dev",
  });
  t.same(calls, [{}, {}, { yes: true }]);
});

t.test("another failure of going live is told with its hint, once", async (t) => {
  await using daemon = await FakeDaemon.open({
    "stage.goLive": () =>
      Promise.reject(new LivedevError("aws.denied", "AWS denies lambda:CreateFunction.", "Ask for it.")),
  });
  t.match(await daemon.rig.livedevd("start"), {
    code: 1,
    stdout: "",
    stderr: "AWS denies lambda:CreateFunction.\nAsk for it.\n",
  });
});

t.test("a stage that is live already is said to be up to date", async (t) => {
  await using daemon = await FakeDaemon.open({
    "stage.goLive": () => Promise.resolve({ steps: 0, tookMs: 20, urls: {} }),
    "daemon.status": () => Promise.resolve(STATUS),
  });
  t.match(await daemon.rig.livedevd("start"), {
    code: 0,
    stdout: `shop is live (stage dev, pid ${process.pid}, all is up to date)\n`,
  });
});
