/**
 * Stubs inside reach the laptop through the bastion, whatever happens on the way: F21, F22 and F30 over this way.
 * Every invocation is answered once and runs at most once; the counts are printed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import t, { type Test } from "tap";

import { counted, times } from "../support/counts.ts";
import { HANDLERS, killDaemon, runsOf, type Watched } from "../support/live-stub.ts";
import { BASTION_INSIDE, Net, netMissing } from "./net.ts";
import { FarStub, following, Laptop } from "./rig.ts";

/** As LiveStub's, for a project on the laptop, and a database that is reached by a fixed port. */
function project(laptop: Laptop): void {
  laptop.rig.save("src/handlers.ts", HANDLERS);
  laptop.configure(`
    const environment = { RUNS: "${laptop.rig.root}/runs" };
    new aws.Function("Plain", { handler: "src/handlers.handler", timeout: "60 seconds", environment });
    new Linkable("Db", { properties: { host: "db.corp.internal", port: 5432 } });`);
}

/** It may have run, or a part of it. */
const UNKNOWN = new Set(["Livedev.OutcomeUnknown", "Livedev.Interrupted"]);

type Counts = { ok: number; away: number; unknown: number };

/** One event after the other, until asked to end. */
class Events {
  readonly counts: Counts = { ok: 0, away: 0, unknown: 0 };
  readonly names: string[] = [];
  readonly #over: Promise<void>;
  #going = true;

  constructor(stub: FarStub, prefix: string) {
    this.#over = this.#run(stub, prefix);
  }

  async #run({ runtime }: FarStub, prefix: string): Promise<void> {
    while (this.#going) {
      const name = `${prefix}-${this.names.length}`;
      this.names.push(name);
      const posted = await runtime.invoke(JSON.stringify({ name }), { timeoutMs: 60_000 });
      const body = JSON.parse(posted.body.toString()) as { ran?: string; errorType?: string };
      if (posted.to === "response" && body.ran === name) {
        this.counts.ok += 1;
        await wait(10);
      } else if (body.errorType === "Livedev.Away") {
        this.counts.away += 1;
        // As whoever tries again would.
        await wait(100);
      } else if (UNKNOWN.has(body.errorType ?? "")) this.counts.unknown += 1;
      else throw new Error(`${name}: ${posted.to} ${posted.body.toString()}`);
    }
  }

  /** When the last one is answered. */
  async end(): Promise<void> {
    this.#going = false;
    await this.#over;
  }
}

/** Answered once each, run at most once, and exactly once where the caller had the answer. */
function check(t: Test, laptop: Laptop, { counts, names }: Events, stub: FarStub): void {
  const runs = runsOf(laptop.rig);
  t.equal(counts.ok + counts.away + counts.unknown, names.length, "each is answered");
  t.equal(stub.runtime.strays, 0, "none is answered twice");
  t.ok(
    names.every((name) => (runs[name] ?? 0) <= 1),
    "none ran twice",
  );
  const ran = names.filter((name) => runs[name] === 1).length;
  t.ok(ran >= counts.ok && ran <= counts.ok + counts.unknown, "who was told of an answer had it run");
  counted(
    t,
    `by the bastion, ${names[0]?.split("-")[0]}: ${names.length} invocations: ${counts.ok} ok, ${counts.away} told that nobody is there, ${counts.unknown} of unknown outcome; ${ran} ran`,
  );
}

async function portOf({ rig }: Laptop) {
  await using client = await rig.connect();
  const status = await client.call("tunnel.status", {});
  return status.state === "off" ? undefined : status.ports[0];
}

const addressOf = async (watched: Watched) => (await watched.client.call("daemon.status", {})).bridge;

t.test("stubs inside, whatever happens on the way", { skip: netMissing }, async (t) => {
  await using net = await Net.open();
  await using laptop = Laptop.open(net);
  project(laptop);
  const { rig } = laptop;
  await using watched = await laptop.watch();
  const up = await watched.next("tunnel.connected");
  t.equal(up.problem, undefined);
  await using stub = await FarStub.open(laptop, "Plain");
  const { address } = await addressOf(watched);
  t.match(address, new RegExp(`^tls://${BASTION_INSIDE}:74\\d\\d$`));
  t.equal(JSON.parse((await stub.runtime.invoke('{"name":"first"}')).body.toString()).ran, "first");
  t.match(await portOf(laptop), { name: "Db", local: 15_432 });

  await t.test("sshd is killed with all its connections, and comes back: F30", async (t) => {
    const events = new Events(stub, "sshd");
    for (let round = 0; round < times(2, 1); round += 1) {
      const before = events.counts.ok;
      while (events.counts.ok < before + 2) await wait(5);
      const back = following(watched, "tunnel.connected");
      const lost = following(watched, "tunnel.lost");
      await net.stopSshd();
      await lost;
      t.match((await addressOf(watched)).down, { since: Number, reason: String }, "clients see since when");
      await net.startSshd();
      t.equal((await back).address, address.replace("tls://", ""), "at the same port");
      t.equal((await addressOf(watched)).down, undefined);
    }
    await events.end();
    check(t, laptop, events, stub);
    t.ok(events.counts.ok >= 2);
  });

  await t.test(
    "what runs while the way breaks runs on, and its answer comes by the next connection",
    async (t) => {
      for (const moment of ["while it is down", "when it is back"]) {
        const until = join(rig.root, moment);
        const name = `mid-run ${moment}`;
        const answer = stub.runtime.invoke(JSON.stringify({ name, until }), { timeoutMs: 60_000 });
        while (runsOf(rig)[name] !== 1) await wait(5);
        const [lost, back] = [following(watched, "tunnel.lost"), following(watched, "tunnel.connected")];
        await net.stopSshd();
        await lost;
        if (moment === "while it is down") writeFileSync(until, "");
        await net.startSshd();
        await back;
        writeFileSync(until, "");
        const { to, body } = await answer;
        t.strictSame([to, JSON.parse(body.toString())], ["response", { ran: name }], moment);
        t.equal(runsOf(rig)[name], 1, "it ran once");
        t.equal(stub.runtime.strays, 0, "and was answered once");
      }
      counted(t, "by the bastion, cut in mid-run: 2 sent, 2 answered, 2 ran");
    },
  );

  await t.test(
    "packets are dropped for 30 s: found within 10 s, back at the same port, the old sshd ended: F21",
    async (t) => {
      const events = new Events(stub, "drop");
      const old = net.sshdPids();
      const lost = following(watched, "tunnel.lost");
      const back = following(watched, "tunnel.connected");
      const began = performance.now();
      net.drop(true);
      await lost;
      const foundMs = performance.now() - began;
      t.ok(foundMs < 10_500, `found after ${Math.round(foundMs)} ms`);
      t.ok(net.sshdPids().length >= old.length, "sshd has noticed nothing, and holds the port");
      await wait(Math.max(0, times(30_000, 0) - (performance.now() - began)));
      const restored = performance.now();
      net.drop(false);
      const { address: now } = await back;
      t.comment(`back ${Math.round(performance.now() - restored)} ms after the network`);
      t.equal(now, address.replace("tls://", ""));
      await events.end();
      check(t, laptop, events, stub);
      const after = new Events(stub, "after-drop");
      await after.end();
      t.equal(after.counts.ok, 1);
    },
  );

  await t.test(
    "the laptop freezes, and nothing passes meanwhile: back within 5 s of waking: F22",
    async (t) => {
      await net.stopSshd();
      const back = following(watched, "tunnel.connected");
      await net.startSshd({ ClientAliveInterval: "1", ClientAliveCountMax: "1" });
      await back;
      const events = new Events(stub, "freeze");
      while (events.counts.ok < 2) await wait(5);
      const again = following(watched, "tunnel.connected");
      const pid = rig.daemonPid();
      process.kill(pid, "SIGSTOP");
      net.drop(true);
      // Two seconds after the last sign, as sshd has it, and twice that until its process is gone.
      await net.unserved();
      net.drop(false);
      process.kill(pid, "SIGCONT");
      const woke = performance.now();
      await again;
      const tookMs = performance.now() - woke;
      t.ok(tookMs < 5_000, `connected ${Math.round(tookMs)} ms after it woke`);
      await events.end();
      check(t, laptop, events, stub);
      const after = new Events(stub, "after-freeze");
      await after.end();
      t.equal(after.counts.ok, 1);
    },
  );

  await t.test("another host key: refused with both fingerprints, until it is known: F30", async (t) => {
    await net.stopSshd();
    net.makeHostKey();
    const refused = following(watched, "tunnel.failed");
    const hostKey = watched.next("tunnel.failed", ({ message }) => message.includes("has changed"));
    await net.startSshd({});
    await refused;
    const { message } = await hostKey;
    t.equal(message.match(/SHA256:/g)?.length, 2, message);
    t.match((await addressOf(watched)).down, { reason: /has changed/ });
    t.match(await rig.livedev("tunnel", "status"), { code: 1, stdout: /has changed/ });
    t.match((await rig.livedev("doctor")).stdout, /has changed[\s\S]*ssh-keygen/);
    const back = following(watched, "tunnel.connected");
    writeFileSync(laptop.file("known_hosts"), net.knownHost());
    t.equal((await back).address, address.replace("tls://", ""));
    const after = new Events(stub, "after-key");
    await after.end();
    t.equal(after.counts.ok, 1);
  });

  await t.test(
    "`GatewayPorts no` is named, with the line to set, and the way out works meanwhile",
    async (t) => {
      await net.stopSshd();
      const there = following(watched, "tunnel.connected");
      await net.startSshd({ GatewayPorts: "no" });
      t.match((await there).problem, /GatewayPorts no/);
      t.match((await rig.livedev("doctor")).stdout, /GatewayPorts clientspecified/);
      t.match((await addressOf(watched)).down, { reason: /GatewayPorts no/ });
    },
  );

  await t.test("two developers on one bastion, each bound to a port", async (t) => {
    const annPort = Number(new URL(address).port);
    const ports = [annPort, annPort + 1];
    const lines = ["ann", "bob"].map((name, index) => {
      const key = readFileSync(net.file(`${name}.pub`), "utf8");
      return `permitlisten="${BASTION_INSIDE}:${ports[index]}" ${key}`;
    });
    await net.stopSshd();
    writeFileSync(net.file("authorized_keys"), lines.join(""));
    const back = following(watched, "tunnel.connected");
    await net.startSshd({});
    await using bob = Laptop.open(net, {
      who: "bob",
      bastion: { listen: { address: BASTION_INSIDE, ports } },
    });
    project(bob);
    await using bobWatched = await bob.watch();
    t.match(await back, { address: `${BASTION_INSIDE}:${ports[0]}`, problem: undefined });
    t.equal((await bobWatched.next("tunnel.connected")).address, `${BASTION_INSIDE}:${ports[1]}`);
    await using bobStub = await FarStub.open(bob, "Plain");
    const [annEvents, bobEvents] = [new Events(stub, "ann"), new Events(bobStub, "bob")];
    while (annEvents.counts.ok < 10 || bobEvents.counts.ok < 10) await wait(5);
    await Promise.all([annEvents.end(), bobEvents.end()]);
    check(t, laptop, annEvents, stub);
    check(t, bob, bobEvents, bobStub);
    t.notOk(
      Object.keys(runsOf(rig)).some((name) => name.startsWith("bob-")),
      "each has its own alone",
    );
    t.ok(Object.keys(runsOf(bob.rig)).every((name) => name.startsWith("bob-")));
  });

  await t.test(
    "livedevd is killed: the next one has the same ports, at both ends; one that is taken is named with its holder, and comes back by itself: F30",
    async (t) => {
      const events = new Events(stub, "killed");
      const back = following(watched, "tunnel.connected");
      const taken = following(watched, "tunnel.portTaken");
      await killDaemon(rig);
      const program = `require("node:net").createServer().listen(15432, "127.0.0.1", () => console.log("listens"))`;
      const holder = await net.started("laptop", [process.execPath, "-e", program], /listens/);
      t.equal((await rig.livedev("run", "--", "true")).code, 0);
      await back;
      await events.end();
      check(t, laptop, events, stub);
      t.equal((await addressOf(watched)).address, address);
      const after = new Events(stub, "after-kill");
      await after.end();
      t.equal(after.counts.ok, 1);

      const by = new RegExp(`15432.*\\(pid ${holder.pid}\\)`);
      t.match(await taken, { name: "Db", port: 15_432, by });
      t.match((await rig.livedev("tunnel", "status")).stdout, new RegExp(`taken by .*pid ${holder.pid}`));
      holder.kill("SIGKILL");
      while ((await portOf(laptop))?.takenBy !== undefined) await wait(50);
      t.match(await portOf(laptop), { local: 15_432 }, "the same port");
    },
  );
});
