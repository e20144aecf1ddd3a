/**
 * The tunnel's bench, as processes in networks of their own (bench-tunnel.ts):
 *
 *     serve <host> <port>   a server: the first line of a connection says what is wanted of it
 *     laptop                livedev's own tunnel, with such a server as what stubs reach; its settings are on stdin
 *     ask                   asks such servers, one question a line of stdin, one answer a line of stdout
 */
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { createServer as createTlsServer } from "node:tls";
import { Worker } from "node:worker_threads";

const [part, ...words] = process.argv.slice(2);
const CHUNK = Buffer.alloc(64 * 1024, "x");
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// ---- the server

/** TLS ends here too, for whoever tries whether this is the right end. */
function serve(host, port, psk) {
  const tls = createTlsServer({ minVersion: "TLSv1.3", pskCallback: () => psk ?? null });
  tls.on("tlsClientError", () => {});
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (first) => {
      if (first[0] === 0x16) {
        socket.pause();
        socket.unshift(first);
        tls.emit("connection", socket);
      } else answer(socket, first);
    });
  });
  return new Promise((resolve) => server.listen(port, host, () => resolve(server.address().port)));
}

function answer(socket, first) {
  const end = first.indexOf("\n");
  const [what, count] = first.subarray(0, end).toString().split(" ");
  const rest = first.subarray(end + 1);
  let left = Number(count);
  if (what === "echo") {
    if (rest.length > 0) socket.write(rest);
    socket.on("data", (bytes) => socket.write(bytes));
  } else if (what === "up") {
    const took = (bytes) => {
      left -= bytes.length;
      if (left <= 0) socket.end("k");
    };
    took(rest);
    socket.on("data", took);
  } else {
    const more = () => {
      while (left > 0) {
        const bytes = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
        left -= bytes.length;
        if (!socket.write(bytes)) {
          socket.once("drain", more);
          return;
        }
      }
      socket.end();
    };
    more();
  }
}

// ---- who asks

const QUESTIONS = {
  /** Milliseconds until all of it is here. */
  down: async ({ host, port, bytes }) => {
    const began = performance.now();
    const socket = await dial(host, port);
    socket.write(`down ${bytes}\n`);
    let got = 0;
    for await (const chunk of socket) got += chunk.length;
    if (got !== bytes) throw new Error(`${got} bytes of ${bytes}`);
    return performance.now() - began;
  },
  up: async ({ host, port, bytes }) => {
    const began = performance.now();
    const socket = await dial(host, port);
    socket.write(`up ${bytes}\n`);
    const acked = new Promise((resolve, reject) => socket.once("data", resolve).once("error", reject));
    for (let left = bytes; left > 0; left -= CHUNK.length) {
      const fits = socket.write(left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK);
      if (!fits) await new Promise((resolve) => socket.once("drain", resolve));
    }
    await acked;
    socket.destroy();
    return performance.now() - began;
  },
  /** Milliseconds of each small request on a connection that stands. */
  echo: async ({ host, port, count }) => {
    const socket = await dial(host, port);
    const times = [];
    socket.write("echo 0\n");
    let came = () => {};
    socket.on("data", () => came());
    for (let n = 0; n < count + 10; n += 1) {
      const began = performance.now();
      const back = new Promise((resolve) => (came = resolve));
      socket.write(CHUNK.subarray(0, 100));
      await back;
      if (n >= 10) times.push(performance.now() - began);
    }
    socket.destroy();
    return times;
  },
  many: async ({ host, port, count, bytes }) => {
    const began = performance.now();
    await Promise.all(Array.from({ length: count }, () => QUESTIONS.down({ host, port, bytes })));
    return performance.now() - began;
  },
};

function dial(host, port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true }, () => resolve(socket));
    // Later it ends this process, and the bench with it.
    socket.once("error", reject).once("close", (broken) => broken && process.exit(1));
  });
}

// ---- the laptop

async function laptop({ thread, settings, key }) {
  const psk = Buffer.from(key, "hex");
  const bridgePort = await serve("127.0.0.1", 0, psk);
  const worker = new Worker(thread, { execArgv: [], argv: [] });
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window
  const tell = (order) => worker.postMessage(order);
  const heard = new Promise((resolve) => {
    const told = { bridgePort };
    worker.on("message", (message) => {
      if (message.is === "failed") throw new Error(message.problem.message);
      if (message.is === "connected") Object.assign(told, message);
      if (message.is === "status") Object.assign(told, { ports: message.status.ports });
      else tell({ is: "status", id: 1 });
      if (told.is === "connected" && told.ports?.length > 0) resolve(told);
    });
  });
  const inward = { bridgePort, seed: 1, keyId: "bench", key: psk };
  tell({ is: "apply", settings: { ...settings, inward } });
  const { wayIn, wayInProblem, ports, cipher, native } = await heard;
  say({ bridgePort, wayIn, wayInProblem, port: ports[0].local, cipher, native });
}

if (part === "serve") say({ port: await serve(words[0], Number(words[1])) });
else
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (part === "laptop") await laptop(order);
    else say(await QUESTIONS[order.ask](order));
  }
