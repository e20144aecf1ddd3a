/**
 * `livedev tunnel run -- <command>`: a program that knows no proxy, in the VPC. Its connections are led to the tunnel's
 * SOCKS port by proxychains, a library that the system's loader puts before the program; Linux only, and not for
 * programs that are linked statically (Go's).
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";

import type { Command } from "commander";

import { connect } from "../connect.ts";
import { noProxychains, noTunnel, notOnLinux } from "../errors.ts";
import { environmentFor, Running } from "./run-as.ts";
import type { Cli, Common } from "./cli.ts";

type Options = Common & { readonly as?: string };

const PROGRAMS = ["proxychains4", "proxychains"];

export function tunnelRunCommand(cli: Cli): Command {
  return cli
    .command(
      "run",
      "Runs a program whose connections into the VPC go through the tunnel, with all that `livedev run` gives it. Linux; not for programs that are linked statically.",
      [
        ["livedev tunnel run -- psql -h db.internal", "by the name that it has there"],
        ["livedev tunnel run -- redis-cli -h 10.0.2.5", "by address"],
      ],
    )
    .option("--as <function>", "whose links, environment and permissions")
    .argument("<command...>", "behind --, so that its own options stay its own")
    .passThroughOptions()
    .action(
      cli.action<Options>(async ({ args, options }) => {
        if (process.platform !== "linux") throw notOnLinux();
        const program = installed();
        if (program === undefined) throw noProxychains();
        const { given, text } = await settings(options);
        const folder = mkdtempSync(join(tmpdir(), "livedev-tunnel-"));
        const file = join(folder, "proxychains.conf");
        try {
          writeFileSync(file, text, { mode: 0o600 });
          return await new Running([program, "-q", "-f", file, ...args], given).exit;
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      }),
    );
}

async function settings(options: Options) {
  await using client = await connect({ ...options });
  const status = await client.call("tunnel.status", {});
  if (status.state === "off" || status.socks === undefined) throw noTunnel();
  const given = await environmentFor(client, options);
  const lines = [
    "strict_chain",
    "quiet_mode",
    // Names are asked of the tunnel; these addresses stand for them meanwhile.
    "proxy_dns",
    "remote_dns_subnet 224",
    "tcp_read_time_out 60000",
    "tcp_connect_time_out 20000",
    "localnet 127.0.0.0/255.0.0.0",
    "localnet 169.254.0.0/255.255.0.0",
    "[ProxyList]",
    `socks5 127.0.0.1 ${status.socks.port}`,
  ];
  return { given, text: `${lines.join("\n")}\n` };
}

function installed(): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/bin", "/usr/local/bin"];
  return PROGRAMS.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) =>
    existsSync(file),
  );
}
