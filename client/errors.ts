/** Every sentence of the clients that a user can read, as a named function. */
import { LivedevError, messageOf } from "../proto/errors.ts";

export { codeOf, LivedevError, messageOf, protocolDiffers } from "../proto/errors.ts";

// ---- finding the daemon

export const noProject = (from: string) =>
  new LivedevError(
    "project.missing",
    `There is no livedev.config.ts in ${from} or in a folder above it.`,
    "Run `livedev init` to make one, or name the project with --project.",
  );

export const noSuchFolder = (path: string) =>
  new LivedevError(
    "project.missing",
    `${path} is not a folder.`,
    "Name the project's folder with --project.",
  );

export const stageInvalid = (stage: string, where: string) =>
  new LivedevError(
    "stage.invalid",
    `${JSON.stringify(stage)} (${where}) cannot be a stage's name.`,
    "A stage is 1 to 20 letters, digits and dashes, the first and last no dash: dev, ann, pr-12.",
  );

export const notRunning = (project: string, stage: string | undefined) =>
  new LivedevError(
    "daemon.notRunning",
    `livedevd is not running for ${project}${stage === undefined ? "" : ` (stage ${stage})`}.`,
    "Run `livedevd start`.",
  );

export const socketUntrusted = (directory: string, problem: string) =>
  new LivedevError(
    "daemon.socketUntrusted",
    `The control socket's directory ${directory} cannot be trusted: ${problem}.`,
    "Remove it, then run `livedevd restart`.",
  );

// ---- the tunnel

export const notOnLinux = () =>
  new LivedevError(
    "tunnel.notOnLinux",
    "`livedev tunnel run` works by a library that only Linux's loader puts before a program.",
    "Use a fixed port or the SOCKS port instead: `livedev tunnel status` shows them.",
  );

export const noProxychains = () =>
  new LivedevError(
    "tunnel.noProxychains",
    "proxychains is not installed, which leads a program's connections to the tunnel.",
    "Install it: `sudo apt-get install proxychains4` (Debian, Ubuntu), `sudo dnf install proxychains-ng` (Fedora).",
  );

export const noTunnel = () =>
  new LivedevError(
    "tunnel.off",
    "There is no tunnel: app() in livedev.config.ts has no `bastion`.",
    "docs/tunnel.md says how to add one.",
  );

// ---- opening it

export const daemonProgramMissing = (file: string) =>
  new LivedevError("daemon.programMissing", `The daemon's program ${file} is missing.`, "Reinstall livedev.");

export const daemonDied = (how: string, lastLines: string, logFile: string) =>
  new LivedevError(
    "daemon.died",
    `livedevd ended before it was ready: ${how}.${lastLines === "" ? "" : `\n${lastLines}`}`,
    `Its log is ${logFile}.`,
  );

export const daemonSlow = (seconds: number, logFile: string) =>
  new LivedevError(
    "daemon.slow",
    `livedevd did not answer within ${seconds} s.`,
    `Its log is ${logFile}; \`livedevd restart\` ends it and starts another.`,
  );

export const stateUnwritable = (path: string, reason: string) =>
  new LivedevError(
    "state.unwritable",
    `livedev cannot write to ${path}: ${reason}.`,
    "Make the project's .livedev folder writable for your user: its stages keep their state there.",
  );

// ---- speaking to it

/** Said beside a command's own output, as the next one is. */
export const opening = (project: string) => `livedevd is not running for ${project}: starting it.`;

export const otherVersion = ({ daemon, client }: { readonly daemon: string; readonly client: string }) =>
  `livedevd ${daemon} is running, this is livedev ${client}: \`livedevd restart\` makes them one.`;

export const daemonUnresponsive = (seconds: number) =>
  new LivedevError(
    "daemon.unresponsive",
    `livedevd accepts connections and does not answer (waited ${seconds} s).`,
    "Run `livedevd restart`.",
  );

export const connectionLost = () =>
  new LivedevError(
    "connection.lost",
    "The connection to livedevd was lost before it answered.",
    "Run `livedevd status` to see whether it is up.",
  );

export const clientClosed = () => new LivedevError("client.closed", "This client is closed.");

/** Cancelled by the caller's own AbortSignal. */
export const cancelled = () => new LivedevError("request.cancelled", "The request was cancelled.");

export const requestRefused = (method: string, message: string) =>
  new LivedevError(
    "request.refused",
    `livedevd refused ${method}: ${message}.`,
    "Client and daemon may be of different versions: run `livedevd restart`.",
  );

export const daemonBug = (method: string, message: string) =>
  new LivedevError(
    "daemon.internal",
    `livedevd failed at ${method}: ${message}`,
    "`livedevd status` names its log.",
  );

// ---- the command line

export const usage = (message: string, command: string) =>
  new LivedevError("cli.usage", sentence(message), `See \`${command} --help\`.`);

export const optionMeant = (given: string, meant: string, command: string) =>
  usage(`unknown option '${given}' (Did you mean ${meant}?)`, command);

export const onlyWithId = () =>
  new LivedevError(
    "cli.usage",
    "--reveal shows one invocation, and none is named.",
    "`livedev history` lists them; then `livedev history <id> --reveal`.",
  );

export const onlyOfList = (flag: string) =>
  new LivedevError(
    "cli.usage",
    `${flag} chooses among invocations, and an id names one.`,
    `Leave out the id, or ${flag}.`,
  );

export const isInterrupt = (error: unknown): boolean =>
  (error instanceof LivedevError && error.code === "request.cancelled") ||
  (error instanceof Error && error.name === "AbortError");

export const alreadyRunning = (project: string, stage: string, pid: number | undefined) =>
  new LivedevError(
    "daemon.taken",
    `livedevd already runs for ${project} (stage ${stage}${pid === undefined ? "" : `, pid ${pid}`}).`,
    "Run `livedevd stop` first, or `livedev logs --daemon --follow` to read along.",
  );

export const notStopped = (pid: number, seconds: number) =>
  new LivedevError(
    "daemon.notStopped",
    `livedevd (pid ${pid}) has not ended within ${seconds} s.`,
    `End it by hand: kill -9 ${pid}`,
  );

export const needsYes = (refusal: { readonly message: string }) =>
  new LivedevError("stage.holdsCode", refusal.message, "Agree with --yes: `livedevd start --yes`.");

export const needsYesToRemove = (stage: string) =>
  new LivedevError(
    "cli.needsYes",
    `This deletes everything of the stage ${stage}, and nobody is there to agree.`,
    "Agree with --yes.",
  );

export const notRemoved = () => new LivedevError("cli.notAgreed", "Nothing was removed.");

export const stateNotJson = (file: string, cause: unknown) =>
  new LivedevError(
    "state.unreadable",
    `${file} is not JSON: ${messageOf(cause)}.`,
    "Give what `livedev state export` wrote.",
  );

export const stateForeign = (file: string, reason: string) =>
  new LivedevError(
    "state.unreadable",
    `${file} is not what \`livedev state export\` wrote: ${reason}.`,
    "Nothing was imported. Export the state again, with this version of livedev.",
  );

export const notAgreed = () =>
  new LivedevError(
    "stage.notAgreed",
    "Nothing was changed: the stage is not live.",
    "Choose another with --stage, or agree.",
  );

/** The hint fits what was most likely meant. */
export const eventNotJson = (where: string, text: string, reason: string) =>
  new LivedevError("event.notJson", `${where} is not JSON: ${reason}.`, eventHint(where, text.trim()));

function eventHint(where: string, text: string): string {
  if (where === "The edited event")
    return "Nothing was run. Edit it again, or give it with --event or --file.";
  if (where !== "The event") return "A text stands in double quotes, as do names.";
  if (/^@?[\w./~-]+\.json$/.test(text) || /^@\S+$/.test(text))
    return `An event in a file: --file ${text.replace(/^@/, "")}`;
  return "A text stands in quotes: --event '\"text\"'";
}

export const stdinSilent = (seconds: number) =>
  new LivedevError(
    "cli.usage",
    `stdin is a pipe, and nothing came from it in ${seconds} s.`,
    "Give the event with --event, wait for stdin with -, or go without: </dev/null",
  );

export const oneEventOnly = () =>
  new LivedevError("cli.usage", "There is more than one event.", "Give one of --event, --file and -.");

// ---- livedev run

/** As a shell says it. */
export const commandMissing = (file: string) =>
  `livedev: there is no command ${file}: neither on the PATH nor in a node_modules/.bin up from here.`;

export const commandNotStarted = (file: string, reason: string) =>
  `livedev: ${file} cannot be started: ${reason}.`;

export const restarted = () => "livedev: what it was given has changed; the command is started again.";

export const waitsForChange = (code: number) =>
  `livedev: the command ended with ${code}; it is started again when what it is given changes.`;

// ---- secrets

export const secretOnCommandLine = (name: string) =>
  new LivedevError(
    "cli.usage",
    "A secret's value does not belong on a command line: it now stands in your shell's history, and stood in `ps`.",
    `Run \`livedev secret set ${name}\`, which asks for it, or give it on stdin.`,
  );

/** Said beside the command's own output. */
export const secretUnknown = (name: string) =>
  `livedev.config.ts names no secret ${name} yet: write new Secret("${name}") there, and link it.`;

export const nothingToLoad = (file: string) =>
  new LivedevError("cli.usage", `${file} holds no secret.`, "Write a line NAME=value for each.");

export const fileUnreadable = (file: string, cause: unknown) =>
  new LivedevError("file.unreadable", `${file} cannot be read: ${fileReason(cause)}.`, "Is the path right?");

/** What the system's code says, without the code, the call and the path again. */
function fileReason(cause: unknown): string {
  switch (cause instanceof Error && "code" in cause ? cause.code : undefined) {
    case "ENOENT":
      return "it does not exist";
    case "EISDIR":
      return "it is a folder";
    case "EACCES":
      return "it is not yours to read";
    default:
      return messageOf(cause);
  }
}

export const fileUnwritable = (file: string, reason: string) =>
  new LivedevError(
    "file.unwritable",
    `${file} cannot be written: ${reason}.`,
    "Is the folder there, and yours?",
  );

export const alreadyProject = (file: string) =>
  new LivedevError("project.exists", `${file} is there already: this is a project.`, "Run `livedevd start`.");

export const programFailed = (program: string, how: string) =>
  new LivedevError("program.failed", `${program} could not be run: ${how}.`, "Reinstall livedev.");

export const editorFailed = (editor: string, how: string) =>
  new LivedevError(
    "editor.failed",
    `Nothing was run: the editor \`${editor}\` ended with ${how}.`,
    "Set $VISUAL or $EDITOR to another.",
  );

export const noEditor = () =>
  new LivedevError(
    "cli.usage",
    "There is no terminal to edit at.",
    "Give the event with --event or --file, or set $VISUAL or $EDITOR to an editor that needs none.",
  );

export const notEdited = () =>
  new LivedevError("editor.emptied", "Nothing was run: the event was left empty.");

/** As the daemon says it of `invoke`. */
export const functionMissing = (name: string, known: readonly string[], orProcess = false) =>
  new LivedevError(
    "function.unknown",
    `There is no function${orProcess ? " and no process" : ""} named ${name}.`,
    known.length > 0 ? `This app has: ${known.join(", ")}.` : "livedev.config.ts defines no function.",
  );

/** As the daemon says it of `process.start`. */
export const processMissing = (name: string, known: readonly string[]) =>
  new LivedevError(
    "process.unknown",
    `There is no frontend, service or command named ${name}.`,
    known.length > 0 ? `There are: ${known.join(", ")}.` : "livedev.config.ts defines none that runs here.",
  );

export const waitTimedOut = (after: string, instead: readonly string[]) =>
  new LivedevError(
    "wait.timeout",
    instead.length === 0 ? `Not after ${after}.` : `Not after ${after}. ${instead.join("; ")}.`,
    "`livedev status` says more; --timeout waits longer.",
  );

// ---- debugging

export const debuggerFailed = (reason: string) =>
  new LivedevError("debug.failed", `livedevd's port for debuggers says: ${reason}.`);

export const debugPortTaken = () =>
  new LivedevError(
    "debug.portTaken",
    "The port for debuggers is not free, so nothing can be attached to.",
    "`livedev debug status` says which it is; `livedev debug on --port` opens another.",
  );

export const breakMissing = () =>
  new LivedevError(
    "cli.usage",
    "Where should it stop?",
    "Name a function and a line: livedev debug MyApi --break src/api.ts:12; or on, off, status.",
  );

export const noSuchSource = (file: string) =>
  new LivedevError("debug.noFile", `There is no file ${file}, neither here nor in the project.`);

export const lineMissing = (file: string, line: number, lines: number) =>
  new LivedevError("debug.noLine", `${file} has no line ${line}: it has ${lines}.`);

export const sourceElsewhere = (file: string, functionName: string) =>
  new LivedevError(
    "debug.notBundled",
    `${file} is not part of ${functionName}: nothing would ever stop there.`,
    "Name a file that its handler imports.",
  );

export const noCodeAt = (place: string) =>
  new LivedevError(
    "debug.noCode",
    `Nothing can stop at ${place}: no code follows there.`,
    "Name a line with a statement.",
  );

export const breakNotReached = (functionName: string, places: readonly string[], after: string) =>
  new LivedevError(
    "debug.timeout",
    `No invocation of ${functionName} came to ${places.join(" or ")} within ${after}.`,
    "--timeout waits longer.",
  );

// ---- history

export const noDaemonLog = (file: string) =>
  new LivedevError(
    "log.missing",
    `There is no daemon's log yet: ${file} does not exist.`,
    "Run `livedevd start`.",
  );

export const editSealed = (id: number | string) =>
  new LivedevError(
    "event.sealed",
    `The event of ${id} cannot be opened: its key is another one now, or it was kept only in part.`,
    "Give another with --event or --file.",
  );

export const deployInterrupted = (what: string) =>
  `${what} stops between two steps; those under way come to their end. What was done is kept: \`livedev deploy\` goes on from there, \`livedev remove\` takes it away.`;

export const withoutCloud = (why: string) => `Without the logs of the cloud: ${why}`;

export const noHistory = (file: string) =>
  new LivedevError(
    "store.missing",
    `There is no history yet: ${file} does not exist.`,
    "Run `livedevd start`, and invoke a function.",
  );

export const noSuchInvocation = (id: string) =>
  new LivedevError("invocation.unknown", `There is no invocation ${id}.`, "`livedev history` lists them.");

/** Said beside the lines of `--follow`. */
export const historyGone = (reason: "database" | "pruned") =>
  reason === "database"
    ? "The history is another one now: following it from its beginning."
    : "Lines between the last one and the next were pruned away.";

// ---- the multiplexer

export const keysInvalid = (file: string, reason: string) =>
  new LivedevError(
    "keys.invalid",
    `The keys in ${file} cannot be used: ${reason}.`,
    "Mend the file, or move it away; docs/multiplexer.md lists actions and keys.",
  );

export const noTerminal = () =>
  new LivedevError(
    "cli.usage",
    "--mode=multi needs a terminal.",
    "`livedev dev --mode=mono` prints one stream of lines.",
  );

/** What was thrown by a program with classes of its own. */
export function asLivedevError(error: unknown): unknown {
  if (error instanceof LivedevError || !(error instanceof Error) || error.name !== "LivedevError")
    return error;
  const { code, hint } = error as LivedevError;
  return new LivedevError(code, error.message, hint, { cause: error });
}

export const multiplexerSays = {
  replaceByStubs: "Replace it by stubs?",
  takeOver: "Take the stage over?",
  notLive: "no: look on, and put no stubs in place",
  quit: "Quit",
  stopAll: "stop everything: livedevd, and all that it runs",
  leaveRunning: "leave livedevd running",
  stay: "stay",
  apply: (count: number) =>
    count === 0 ? "Go live?" : count === 1 ? "Apply 1 step?" : `Apply ${count} steps?`,
  notApplied: "Nothing was applied.",
  onlyWith: "only with the text: ",
  copyAs: "Copy as",
  event: "the event",
  answer: "the answer",
  tooLong: "Too long for a terminal's clipboard: `livedev history <id> --json` has it.",
  copied: (text: string) => {
    const count = text.split("\n").length;
    return count === 1 ? `Copied ${text.length} characters.` : `Copied ${count} lines.`;
  },
  editAgain: "edit it again",
  giveUp: "give up",
  opening: "Opening livedevd …",
  away: (since: string) => `livedevd is gone since ${since}; waiting for it`,
} as const;

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?)]$/.test(capital) ? capital : `${capital}.`;
}
