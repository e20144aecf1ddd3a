/**
 * The environment of a worker: AWS's own variables from the stub, the user's from the config, and the few of this
 * machine without which a program does not run. Nothing else of the daemon's environment reaches the user's code, so
 * that what works here works in Lambda.
 */
import { devNull } from "node:os";

import type { ResolvedFunction } from "../../proto/app.ts";
import { linkVariables } from "../lib/link-variables.ts";

export type AppOf = {
  readonly name: string;
  readonly stage: string;
  readonly region: string;
  /** A file that Node loads before the code, also in what the code starts. */
  readonly preload?: string;
};

/** NODE_OPTIONS with the file in it, behind what stands there. */
export function withPreload(options: string | undefined, preload: string | undefined): string | undefined {
  if (preload === undefined) return options;
  return [options, `--require ${JSON.stringify(preload)}`].filter(Boolean).join(" ");
}

/** Of this machine. Proxies and certificates belong to the network that it is in. */
const OF_THE_MACHINE =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|LC_[A-Z]+|SSH_AUTH_SOCK|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR)|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY)$/;

/** Paths of the other machine. */
const OF_THE_OTHER = new Set(["LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"]);

/**
 * AWS's SDKs look for credentials in the home folder and at the address of a machine's metadata. A function in Lambda
 * finds neither; here they would be the developer's own, used without a word before any stub has brought the function's.
 */
const NOT_THE_DEVELOPERS = {
  AWS_SHARED_CREDENTIALS_FILE: devNull,
  AWS_CONFIG_FILE: devNull,
  AWS_EC2_METADATA_DISABLED: "true",
};

/** What a process may have read before it was told its environment: Node itself, OpenSSL, the time zone's data. */
const READ_AT_START = /^(?:NODE_(?!ENV$)|UV_|SSL_CERT_|TZ$|LD_)/;

export type Variables = {
  /** The user's and this machine's: another value means another process. */
  readonly settings: Readonly<Record<string, string>>;
  /** AWS's own: renewed in a process that stands. */
  readonly aws: Readonly<Record<string, string>>;
};

export function variablesFor(options: {
  readonly wanted: ResolvedFunction;
  readonly app: AppOf;
  readonly project: string;
  readonly machine: Readonly<Record<string, string | undefined>>;
  /** Of the sandbox whose event is to be run; of the last one where a client runs it. */
  readonly sandbox: Readonly<Record<string, string>>;
}): Variables {
  const { wanted, app, project, machine, sandbox } = options;
  const named = new Set(Object.keys(wanted.environment));
  const nodeOptions = withPreload(wanted.environment["NODE_OPTIONS"], app.preload);
  const ofTheSandbox = Object.entries(sandbox).filter(([name]) => !OF_THE_OTHER.has(name));
  const aws: Readonly<Record<string, string>> = {
    // What a function has before any stub has connected.
    AWS_REGION: app.region,
    AWS_DEFAULT_REGION: app.region,
    AWS_LAMBDA_FUNCTION_NAME: wanted.name,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(wanted.memoryMb),
    AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
    AWS_EXECUTION_ENV: `AWS_Lambda_${wanted.runtime}`,
    _HANDLER: wanted.handler,
    ...Object.fromEntries(ofTheSandbox),
  };
  return {
    settings: {
      TZ: ":UTC",
      ...ofTheMachine(machine),
      ...NOT_THE_DEVELOPERS,
      LAMBDA_TASK_ROOT: project,
      // SST's name for it, by which code tells that it runs live.
      SST_DEV: "true",
      ...linkVariables(wanted.link, app),
      ...wanted.environment,
      ...(nodeOptions !== undefined && { NODE_OPTIONS: nodeOptions }),
    },
    aws: Object.fromEntries(Object.entries(aws).filter(([name]) => !named.has(name))),
  };
}

/** What a program needs of this machine to run on it. */
export function ofTheMachine(machine: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(machine).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && OF_THE_MACHINE.test(entry[0]),
    ),
  );
}

/** Those that a process must be started with. */
export function readAtStart(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => READ_AT_START.test(name)));
}
