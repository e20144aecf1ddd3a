/** A client that follows a daemon knocks until the next one is there, whatever answers in its place meanwhile. */
import { rmSync } from "node:fs";
import { once } from "node:events";
import { createServer, type Server } from "node:http";

import t from "tap";

import { killDaemon, Watched, withHandlers } from "../support/live-stub.ts";
import { Rig } from "../support/rig.ts";

t.test("whoever leaves, or breaks off, or answers nonsense while we knock is not the end", async (t) => {
  await using rig = Rig.open();
  withHandlers(rig);
  await using watched = await Watched.open(rig);
  const { socket } = JSON.parse(rig.read(`.livedev/${rig.stage}/daemon.json`)) as { socket: string };
  const first = watched.client.hello.pid;
  await killDaemon(rig);

  const answers = [
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "nonsense\r\n\r\n",
    "",
  ];
  const server: Server = createServer();
  const answered = new Promise<void>((resolve) => {
    server.on("upgrade", (_request, peer) => {
      peer.end(answers.shift());
      if (answers.length === 0) resolve();
    });
  });
  rmSync(socket);
  await once(server.listen(socket), "listening");
  await answered;
  await new Promise((resolve) => server.close(resolve));

  t.equal((await rig.livedevd("start")).code, 0);
  const { pid } = await watched.next("daemon.started", (started) => started.pid !== first);
  t.equal(watched.client.hello.pid, pid);
});
