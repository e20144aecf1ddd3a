import type { Command } from "commander";

import type { Finding } from "../../proto/rpc.ts";

import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import { locate, type Place } from "../discovery.ts";
import { LivedevError } from "../errors.ts";
import { VERSION } from "../programs.ts";
import type { Cli, Common } from "./cli.ts";
import { checkMachine, checkPlace } from "./doctor-checks.ts";
import { EXIT } from "./exit.ts";
import { inert, note, paint, print, printJson } from "./output.ts";
import { writeBundle } from "./support-bundle.ts";

type Options = Common & { readonly bundle?: string };

export function doctorCommand(cli: Cli): Command {
  return cli
    .command(
      "doctor",
      "Looks for what is wrong, on this machine and in the daemon where one runs; each with what mends it. Starts nothing. Exit code 1 where something must be mended.",
      [
        ["livedev doctor", "look"],
        [`livedev doctor --json | jq 'select(.level != "ok")'`, "one finding a line"],
        ["livedev doctor --bundle support.json.gz", "for a bug report: no payloads, nothing secret"],
      ],
    )
    .option(
      "--bundle <file>",
      "also write a support bundle: gzipped JSON that you can read before you send it",
    )
    .action(
      cli.action<Options>(async ({ options }) => {
        const { place, findings: here } = placeOf(options);
        const { client, findings: there } = await daemonOf(cli, options, place);
        await using _client = client;
        const findings = [
          ...checkMachine(),
          ...here,
          ...(place === undefined ? [] : checkPlace(place)),
          ...there,
        ];
        for (const finding of findings) {
          if (options.json === true) printJson(finding);
          else print(findingText(finding));
        }
        if (options.bundle !== undefined) {
          const file = await writeBundle({ file: options.bundle, findings, place, client });
          note(`The support bundle is ${file}. \`gunzip -c\` shows what is in it.`);
        }
        return findings.some(({ level }) => level === "error") ? EXIT.failed : EXIT.done;
      }),
    );
}

/** Outside of a project the machine alone is looked at. */
function placeOf(options: Options): {
  readonly place: Place | undefined;
  readonly findings: readonly Finding[];
} {
  try {
    const place = locate(options);
    return {
      place,
      findings: [
        { id: "project", level: "ok", title: `The project is ${place.project}, stage ${place.stage}.` },
      ],
    };
  } catch (error) {
    if (!(error instanceof LivedevError)) throw error;
    const level = options.project === undefined && error.code === "project.missing" ? "warning" : "error";
    return { place: undefined, findings: [fromError("project", level, error)] };
  }
}

async function daemonOf(
  cli: Cli,
  options: Options,
  place: Place | undefined,
): Promise<{ readonly client: LivedevClient | undefined; readonly findings: readonly Finding[] }> {
  if (place === undefined) return { client: undefined, findings: [] };
  const { signal } = cli;
  try {
    const client = await connect({ ...options, open: false, signal });
    return {
      client,
      findings: [...versionFinding(client), ...(await client.call("daemon.doctor", {}, { signal }))],
    };
  } catch (error) {
    if (!(error instanceof LivedevError) || cli.interrupted) throw error;
    if (error.code !== "daemon.notRunning")
      return { client: undefined, findings: [fromError("daemon", "error", error)] };
    return {
      client: undefined,
      findings: [{ id: "daemon.running", level: "ok", title: "livedevd is not running." }],
    };
  }
}

function versionFinding({ hello }: LivedevClient): Finding[] {
  if (hello.version === VERSION) {
    return [
      { id: "daemon.version", level: "ok", title: `livedevd ${hello.version} runs (pid ${hello.pid}).` },
    ];
  }
  const title = `livedevd is ${hello.version}, this command ${VERSION}.`;
  return [{ id: "daemon.version", level: "warning", title, fix: "livedevd restart" }];
}

function fromError(id: string, level: Finding["level"], { message, hint }: LivedevError): Finding {
  return { id, level, title: message, ...(hint === undefined ? {} : { fix: hint }) };
}

const SIGNS = { ok: ["✓", "green"], warning: ["!", "yellow"], error: ["✗", "red"] } as const;

function findingText({ level, title, fix }: Finding): string {
  const [sign, style] = SIGNS[level];
  const head = `${paint(style, sign)} ${inert(title)}`;
  return fix === undefined ? head : `${head}\n    ${paint("bold", inert(fix))}`;
}
