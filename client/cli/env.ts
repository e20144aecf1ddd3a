import { Option, type Command } from "commander";

import { connect } from "../connect.ts";
import type { Cli, Common } from "./cli.ts";
import { note, print, printJson } from "./output.ts";

type Options = Common & {
  readonly as?: string;
  readonly reveal?: boolean;
  readonly format: "dotenv" | "json" | "shell";
};

export function envCommand(cli: Cli): Command {
  return cli
    .command(
      "env",
      "Prints what `livedev run` gives a command: the app's links, or a function's links, environment and credentials. Redacted unless --reveal is given.",
      [
        ["livedev env --as MyApi", "what the function has"],
        ["livedev env --reveal > .env.local", "for a tool that reads such a file"],
        ['eval "$(livedev env --as MyApi --format shell --reveal)"', "this shell is the function"],
      ],
    )
    .option("--as <function>", "whose links, environment and permissions")
    .option("--reveal", "values as they are, secrets among them")
    .addOption(
      new Option("--format <format>", "how it is written")
        .choices(["dotenv", "json", "shell"])
        .default("dotenv"),
    )
    .action(
      cli.action<Options>(async ({ options }) => {
        const { as, reveal = false, format } = options;
        await using client = await connect({ ...options, signal: cli.signal });
        const given = await client.call("environment.get", { ...(as !== undefined && { as }), reveal });
        const entries = Object.entries(given.variables).sort(([a], [b]) => (a < b ? -1 : 1));
        if (options.json === true || format === "json") return printJson(Object.fromEntries(entries));
        if (format === "shell") {
          const gone = given.unset.filter((name) => !name.endsWith("*"));
          if (gone.length > 0) print(`unset ${gone.join(" ")}`);
          for (const [name, value] of entries) print(`export ${name}=${shellQuoted(value)}`);
        } else for (const [name, value] of entries) print(`${name}=${dotenvQuoted(value)}`);
        if (!reveal && process.stderr.isTTY)
          note("Values that are secret are withheld: --reveal prints them.");
      }),
    );
}

const shellQuoted = (value: string) => `'${value.replaceAll("'", String.raw`'\''`)}'`;

/** Readers of .env files take what stands in single quotes, then in backticks, as it is; in double quotes `\n` is a line break. */
function dotenvQuoted(value: string): string {
  if (/^[\w./:@%+,-]*$/.test(value)) return value;
  if (!value.includes("'")) return `'${value}'`;
  if (!value.includes("`")) return `\`${value}\``;
  return `"${value.replaceAll("\n", String.raw`\n`)}"`;
}
