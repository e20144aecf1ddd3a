/** A value comes from a prompt, from stdin or from a file: a command line stands in the shell's history and in `ps`. */
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";

import type { Command } from "commander";

import type { RpcResult } from "../../proto/rpc.ts";

import { connect } from "../connect.ts";
import { fileUnreadable, nothingToLoad, secretOnCommandLine, secretUnknown } from "../errors.ts";
import { canAsk } from "./ask.ts";
import { printEither, type Cli, type Common, type Example } from "./cli.ts";
import { EXIT, type Exit } from "./exit.ts";
import { readHidden } from "./hidden.ts";
import { note, paint, printJson, table } from "./output.ts";
import { readStdin } from "./stdin.ts";

type Options = Common & { readonly fallback?: boolean; readonly reveal?: boolean };

export function secretCommand(cli: Cli): Command {
  const secret = cli.bare(
    "secret",
    "Values that the config names by new Secret(…) and does not hold: set | list | remove | load. Kept in SSM's Parameter Store, with home local in a sealed file.",
    [
      ["livedev secret set StripeKey", "asks for the value"],
      ["pass show stripe | livedev secret set StripeKey", "from stdin"],
      ["livedev secret list", "which have a value in this stage"],
    ],
  );
  secret.addCommand(setCommand(cli));
  secret.addCommand(listCommand(cli));
  secret.addCommand(removeCommand(cli));
  secret.addCommand(loadCommand(cli));
  return secret;
}

function command(cli: Cli, name: string, description: string, examples: readonly Example[]): Command {
  return cli
    .command(name, description, examples)
    .option("--fallback", "for all stages of the app that have no value of their own");
}

function setCommand(cli: Cli): Command {
  return command(
    cli,
    "set",
    "Sets a secret of the stage, from a prompt or from stdin. Functions have it from their next event on.",
    [
      ["livedev secret set StripeKey", "asks, and shows nothing of it"],
      ["livedev secret set StripeKey < key.txt", "from stdin; one line break at its end is left out"],
      ["livedev secret set StripeKey --fallback", "for every stage without a value of its own"],
    ],
  )
    .argument("<secret>", "its name in livedev.config.ts")
    .argument("[value]", "never: it would stand in the shell's history")
    .action(
      cli.action<Options>(async ({ args: [name = "", value], options }) => {
        if (value !== undefined) throw secretOnCommandLine(name);
        await using client = await connect({ ...options, signal: cli.signal });
        const given = canAsk()
          ? await readHidden(`${name} (${client.hello.stage}): `, cli.signal)
          : (await readStdin()).replace(/\r?\n$/, "");
        await client.call("secret.set", { values: { [name]: given }, ...scope(options) });
        const known = await client.call("secret.list", {});
        printEither(options.json, {}, () => `${name} is set ${where(options, client.hello.stage)}.`);
        if (known.find((one) => one.name === name)?.inConfig !== true) note(secretUnknown(name));
      }),
    );
}

function listCommand(cli: Cli): Command {
  return cli
    .command("list", "The app's secrets, and whether they have a value in the stage.", [
      ["livedev secret list", "names alone"],
      ["livedev secret list --reveal", "with their values"],
    ])
    .option("--reveal", "with their values")
    .action(
      cli.action<Options>(async ({ options }) => {
        await using client = await connect({ ...options, signal: cli.signal });
        const secrets = await client.call("secret.list", { reveal: options.reveal ?? false });
        printEither(options.json, secrets, () => text(secrets));
      }),
    );
}

const FROM = { stage: "", fallback: "the app's fallback", placeholder: "the config's placeholder" } as const;

function text(secrets: RpcResult<"secret.list">): string {
  if (secrets.length === 0) return "There are no secrets: a config names them by new Secret(…).";
  return table(
    secrets.map(({ name, from, inConfig, value }) => [
      name,
      from === "nowhere"
        ? paint("red", `no value: \`livedev secret set ${name}\``)
        : [value ?? "set", FROM[from], inConfig ? "" : "not in the config"]
            .filter((part) => part !== "")
            .join(", "),
    ]),
  );
}

function removeCommand(cli: Cli): Command {
  return command(cli, "remove", "Takes a secret's value away. Exit code 1 where there was none.", [
    ["livedev secret remove StripeKey", "in this stage; the app's fallback counts then"],
  ])
    .argument("<secret>", "its name")
    .action(
      cli.action<Options>(async ({ args: [name = ""], options }): Promise<Exit> => {
        await using client = await connect({ ...options, signal: cli.signal });
        const answer = await client.call("secret.remove", { name, ...scope(options) });
        const place = where(options, client.hello.stage);
        printEither(options.json, answer, () =>
          answer.removed ? `${name} is removed ${place}.` : `${name} had no value ${place}.`,
        );
        return answer.removed ? EXIT.done : EXIT.failed;
      }),
    );
}

function loadCommand(cli: Cli): Command {
  return command(cli, "load", "Sets many secrets at once, from a file or stdin with lines NAME=value.", [
    ["livedev secret load secrets.env", "as a .env is written"],
    ["sops -d secrets.env | livedev secret load -", "from stdin"],
  ])
    .argument("<file>", "a dash: stdin")
    .action(
      cli.action<Options>(async ({ args: [file = ""], options }) => {
        const values = parseEnv(file === "-" ? await readStdin() : read(file)) as Record<string, string>;
        const names = Object.keys(values);
        if (names.length === 0) throw nothingToLoad(file);
        await using client = await connect({ ...options, signal: cli.signal });
        await client.call("secret.set", { values, ...scope(options) });
        if (options.json === true) printJson({ names });
        else note(`${names.join(", ")} ${names.length === 1 ? "is" : "are"} set.`);
      }),
    );
}

const scope = ({ fallback }: Options) => ({ fallback: fallback ?? false });

const where = ({ fallback }: Options, stage: string) =>
  fallback === true ? "as the app's fallback" : `in stage ${stage}`;

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw fileUnreadable(file, error);
  }
}
