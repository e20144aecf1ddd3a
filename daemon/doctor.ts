/** What is wrong, as far as the daemon can tell, each with what mends it. */
import type { Finding } from "../proto/rpc.ts";

import type { Daemon } from "./daemon.ts";

export function diagnose(daemon: Daemon): Finding[] {
  const { config, live, functions, bridge } = daemon.status();
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
    ok("live", `The stage is ${live.state}; ${bridge.sandboxes} stubs are connected to ${bridge.address}.`);

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
    if (queued > 0) {
      wrong(
        "warning",
        `function.${name}.queue`,
        `${queued} invocations of ${name} wait behind ${running} that run.`,
        "Does it wait for itself, directly or through another function?",
      );
    }
  }
  return findings;
}
