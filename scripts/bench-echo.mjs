/**
 * The floor of the bench: processes that do nothing but hand on what they get, over the same kinds of hops as an
 * invocation takes. `node scripts/bench-echo.mjs <part> [port]`; prints its port on one line.
 *
 *     client ─http─► front ─http─► relay ─TLS WebSocket─► middle ─http─► worker
 */
import { createServer, request, Agent } from "node:http";
import { createServer as createTlsServer } from "node:https";

import { WebSocket, WebSocketServer } from "ws";

const [part, next] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, noDelay: true });
const KEY = Buffer.alloc(32, 7);

const body = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const post = (port, bytes) =>
  new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, method: "POST", agent }, (response) => {
      body(response).then(resolve, reject);
    });
    outgoing.on("error", reject);
    outgoing.end(bytes);
  });

const http = (answer) => {
  const server = createServer((incoming, response) => {
    void body(incoming)
      .then(answer)
      .then((bytes) => response.end(bytes));
  });
  server.keepAliveTimeout = 0;
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
};

const dial = (port) =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(`wss://127.0.0.1:${port}`, {
      pskCallback: () => ({ psk: KEY, identity: "bench" }),
      checkServerIdentity: () => undefined,
      minVersion: "TLSv1.3",
      perMessageDeflate: false,
    });
    socket.once("open", () => resolve(socket));
    socket.once("error", reject);
  });

switch (part) {
  case "worker":
    http((bytes) => bytes);
    break;
  case "front":
    http((bytes) => post(Number(next), bytes));
    break;
  case "middle": {
    const server = createTlsServer({ minVersion: "TLSv1.3", pskCallback: () => KEY });
    const sockets = new WebSocketServer({ server, perMessageDeflate: false });
    sockets.on("connection", (socket) => {
      socket.on("message", (data) => {
        void post(Number(next), data).then((answer) => socket.send(answer));
      });
    });
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    break;
  }
  // Answers each message with a few bytes, as the daemon does before it does anything else.
  case "ack": {
    const server = createTlsServer({ minVersion: "TLSv1.3", pskCallback: () => KEY });
    const sockets = new WebSocketServer({ server, perMessageDeflate: false });
    sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(data.subarray(0, 20))));
    server.listen(0, "127.0.0.1", () => console.log(server.address().port));
    break;
  }
  case "relay": {
    const socket = await dial(Number(next));
    const waiting = [];
    socket.on("message", (data) => waiting.shift()?.(data));
    http((bytes) => {
      const answer = new Promise((resolve) => waiting.push(resolve));
      socket.send(bytes);
      return answer;
    });
    break;
  }
  default:
    throw new Error(`no such part: ${part}`);
}
