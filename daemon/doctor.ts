/** What is wrong, as far as the daemon can tell, each with what mends it. */
import type { DaemonStatus, Finding, RpcResult } from "../proto/rpc.ts";

import type { Daemon } from "./daemon.ts";
import type { Refused } from "./lib/refusals.ts";
import { deadlocks } from "./invocations/deadlock.ts";

export function diagnose(
  daemon: Daemon,
  status: DaemonStatus,
  tunnel: RpcResult<"tunnel.status">,
): Finding[] {
  const { config, live, functions, bridge, cloud } = status;
  const findings: Finding[] = [];
  const ok = (id: string, title: string) => findings.push({ id, level: "ok", title });
  const wrong = (level: "warning" | "error", id: string, title: string, fix: string) =>
    findings.push({ id, level, title, fix });

  if (config.state === "broken")
    wrong("error", "config", config.message, "Mend the config and save: it loads by itself.");
  else ok("config", `The config is ${config.state}.`);

  if (live.state === "failed")
    wrong("error", "live", live.message, live.hint ?? "Run `livedevd start` again.");
  else if (live.state === "off") wrong("warning", "live", "The stage is not live.", "Run `livedevd start`.");
  else
    ok(
      "live",
      `The stage is ${live.state}; ${bridge.sandboxes === 1 ? "1 stub is" : `${bridge.sandboxes} stubs are`} connected to ${bridge.address}.`,
    );

  const through = throughTunnel(tunnel);
  findings.push(...through);
  // Where the tunnel is the reason, it has said so itself.
  if (bridge.down !== undefined && !through.some(({ level }) => level === "error")) {
    const since = new Date(bridge.down.since).toISOString();
    wrong(
      "error",
      "bridge",
      `No stub can connect since ${since}: ${bridge.down.reason}`,
      bridge.address.startsWith("tls://127.0.0.1:")
        ? "It is tried again by itself; `livedevd restart` gives the stubs another port."
        : "It is tried again by itself. Start what leads the address to the port that app()'s `url` names (docs/tunnel.md).",
    );
  }

  if (cloud?.running === false)
    wrong(
      "error",
      "cloud",
      "The local cloud is not running: the stage's functions cannot be invoked.",
      "Run `livedev cloud start`.",
    );

  const health = daemon.store.health();
  if (health.state === "failing") {
    wrong(
      "error",
      "history",
      `History cannot be written (${health.code}): ${health.message}.`,
      "Free some space: recording resumes by itself.",
    );
  } else ok("history", "History is written.");
  const { movedAside } = daemon.store;
  if (movedAside !== undefined) {
    wrong(
      "warning",
      "history.movedAside",
      `The last history was damaged and lies at ${movedAside.movedTo}.`,
      "Delete it when you do not need it.",
    );
  }
  for (const { name, runtime, node } of functions) {
    if (node === undefined) continue;
    const major = /\d+/.exec(runtime)?.[0] ?? "";
    wrong(
      "warning",
      `function.${name}.node`,
      `${name} is for ${runtime} and runs under Node ${node} here: no Node ${major} was found.`,
      `Install Node ${major} with nvm, fnm, mise or volta, or set LIVEDEV_NODE_${major} to its program; then livedevd restart.`,
    );
  }
  const stuck = new Map(deadlocks(daemon.invocations.underWay()).map((one) => [one.functionName, one]));
  for (const { name, state, errors, queued, running } of functions) {
    const [first] = errors ?? [];
    if (state === "broken") {
      const place = first?.file === undefined ? "" : `${first.file}:${first.line ?? 1}: `;
      wrong(
        "error",
        `function.${name}`,
        `${name} does not build. ${place}${first?.text ?? ""}`,
        "Mend the file and save.",
      );
    }
    const deadlock = stuck.get(name);
    if (deadlock !== undefined && queued > 0) {
      wrong(
        "error",
        `function.${name}.deadlock`,
        `${name} waits for itself (${deadlock.chain.join(" → ")}): each of its ${deadlock.running} running invocations waits for one of the ${deadlock.queued} behind them, until its timeout.`,
        'Let it not wait for itself: invoke it asynchronously (`InvocationType: "Event"`), or call the code directly.',
      );
    } else if (queued > 0) {
      wrong(
        "warning",
        `function.${name}.queue`,
        `${queued} invocations of ${name} wait behind ${running} that run.`,
        "They run in their turn.",
      );
    }
  }
  return findings;
}

function throughTunnel(tunnel: RpcResult<"tunnel.status">): Finding[] {
  if (tunnel.state === "off") return [];
  const { state, host, since, address, problem, addressProblem, native, ports, socks } = tunnel;
  const findings: Finding[] = [];
  if (state !== "up") {
    const why = problem === undefined ? "" : `: ${problem.message}`;
    findings.push({
      id: "tunnel",
      level: "error",
      title: `The tunnel to ${host} is down since ${new Date(since).toISOString()}${why}`,
      fix: problem?.hint ?? "It is tried again by itself.",
    });
  } else if (addressProblem !== undefined) {
    findings.push({
      id: "tunnel.wayIn",
      level: "error",
      title: addressProblem.message,
      fix: addressProblem.hint ?? "It is tried again by itself.",
    });
  } else {
    const where = address === undefined ? "" : `; stubs reach it at ${address}`;
    findings.push({ id: "tunnel", level: "ok", title: `The tunnel to ${host} is up${where}.` });
  }
  if (native === false)
    findings.push({
      id: "tunnel.ciphers",
      level: "warning",
      title: "ssh2's compiled ciphers are not installed: large transfers through the tunnel are slower.",
      fix: "Run `npm rebuild ssh2 --ignore-scripts=false`, then `livedevd restart`.",
    });
  for (const { name, port, takenBy } of [
    ...ports.map((one) => ({ ...one, port: one.local })),
    ...(socks === undefined ? [] : [{ name: "SOCKS5", ...socks }]),
  ]) {
    if (takenBy === undefined) continue;
    findings.push({
      id: `tunnel.port.${name}`,
      level: "warning",
      title: `Port ${port}, which leads to ${name} through the tunnel, is taken by ${takenBy}.`,
      fix: "End that program: the port is looked at again each second.",
    });
  }
  findings.push({
    id: "tunnel.exceptions",
    level: "ok",
    title:
      "Node programs reach the VPC unchanged, but for dns.resolve* of private names, UDP, IPv6, and add-ons that open sockets by themselves (docs/tunnel.md).",
  });
  return findings;
}

/** Nothing came of them; but who sends them may be worth knowing. */
export function refused(refusals: readonly Refused[]): Finding[] {
  if (refusals.length === 0) {
    return [{ id: "refused", level: "ok", title: "No port of livedev's had to refuse anything." }];
  }
  return refusals.map(({ port, reason, count, lastAt }) => ({
    id: "refused",
    level: "warning",
    title: `${count} ${count === 1 ? "request was" : "requests were"} refused at ${port}: ${reason} (the last at ${new Date(lastAt).toLocaleTimeString()}).`,
    fix: "Nothing was changed by them. A web page or a program on this machine sends them: close it where you do not know it.",
  }));
}
