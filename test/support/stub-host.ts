/**
 * Many stubs in one process: `stub-host.ts <settings JSON> <how many>`. The stub's own session and call; Lambda's
 * Runtime API is played here. Says "ready" when all are connected; at "go" each brings one event, and says what came.
 */
import { randomUUID } from "node:crypto";

import { Call } from "../../stub/call.ts";
import { Session } from "../../stub/session.ts";
import type { Settings } from "../../stub/settings.ts";

const [json = "{}", count = "1"] = process.argv.slice(2);
const given = JSON.parse(json) as Omit<Settings, "key"> & { key: string };
const settings: Settings = { ...given, key: Buffer.from(given.key, "hex") };

const sessions = Array.from({ length: Number(count) }, () => new Session(settings, {}));
const connected = setInterval(() => {
  if (!sessions.every(({ open }) => open)) return;
  clearInterval(connected);
  process.send?.("ready");
}, 10);

process.on("message", () => {
  for (const session of sessions) {
    const requestId = randomUUID();
    const event = {
      requestId,
      event: Buffer.from(JSON.stringify({ id: requestId })),
      deadlineAt: Date.now() + 120_000,
      functionArn: "arn:aws:lambda:eu-west-1:123456789012:function:many",
      headers: {},
    };
    void Call.carry(settings, session, event).then((reply) => {
      const body = reply.is === "answer" ? Buffer.from(reply.body).toString() : reply.is;
      process.send?.({ requestId, body });
    });
  }
});
