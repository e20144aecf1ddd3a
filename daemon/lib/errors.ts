/**
 * Every sentence of the daemon that a user can read, as a named function: what was wrong, where, and what to do next.
 */
import { dirname } from "node:path";

import { codeOf, LivedevError, messageOf } from "../../proto/errors.ts";
import type { BuildError } from "../../proto/events.ts";

export { codeOf, LivedevError, messageOf, protocolDiffers } from "../../proto/errors.ts";

export const unknownFunction = (name: string, known: readonly string[]) =>
  new LivedevError(
    "function.unknown",
    `There is no function named ${name}.`,
    known.length > 0 ? `This app has: ${known.join(", ")}.` : "livedev.config.ts defines no function.",
  );

// ---- the daemon

export const functionsClosed = () =>
  new LivedevError("functions.closed", "livedevd is stopping: the handler was ended, or not run.");

export const daemonTaken = (project: string, stage: string) =>
  new LivedevError(
    "daemon.taken",
    `Another livedevd already serves ${project} (stage ${stage}).`,
    "Run `livedevd status`, or `livedevd restart`.",
  );

export const notConfigured = () =>
  new LivedevError("config.loading", "livedev.config.ts has not been loaded yet.", "Try again in a moment.");

export const configBroken = ({ message, hint }: { readonly message: string; readonly hint?: string }) =>
  new LivedevError(
    "config.broken",
    `The config cannot be loaded. ${message}`,
    hint ?? "Mend it and save: it loads by itself.",
  );

export const stageHoldsCode = (app: string, stage: string, functions: readonly string[]) =>
  new LivedevError(
    "stage.holdsCode",
    `${app}/${stage} holds deployed code (${functions.join(", ")}); going live puts stubs in its place.`,
    "Agree with `livedevd start --yes`; the next real deployment puts the code back.",
  );

export const stageHeld = (app: string, stage: string, who: string, since: Date) =>
  new LivedevError(
    "stage.held",
    `${app}/${stage} is live on ${who} since ${since.toISOString()}.`,
    "Use a stage of your own (--stage), or take it over: `livedevd start --take-over`.",
  );

export const stageTakenOver = (app: string, stage: string, who: string) =>
  new LivedevError(
    "stage.takenOver",
    `${app}/${stage} was taken over by ${who}; its events go there now.`,
    "Take it back: `livedevd start --take-over`.",
  );

export const leaseLost = (app: string, stage: string, cause: unknown) =>
  new LivedevError(
    "stage.leaseLost",
    `The lease of ${app}/${stage} could not be renewed for 30 s: ${messageOf(cause)}.`,
    "It is taken again by itself once AWS can be reached, unless another has it by then.",
    { cause },
  );

export const noWayForStubs = () =>
  new LivedevError(
    "bridge.noWay",
    "Stubs in AWS have no way to this machine: the bridge listens on loopback only.",
    'Give app() a `bastion` or a `url` (docs/tunnel.md), or use home: "local".',
  );

export const environmentDiffers = (name: string, daemon: string | undefined, client: string | undefined) =>
  new LivedevError(
    "daemon.environment",
    `livedevd runs with ${name}=${daemon ?? "(not set)"}, this client with ${name}=${client ?? "(not set)"}.`,
    `Set ${name} alike, or run \`livedevd restart\` here.`,
  );

export const unknownInvocation = (id: number | string) =>
  new LivedevError(
    "invocation.unknown",
    `There is no invocation ${id} in history.`,
    "`livedev history` lists them.",
  );

export const eventGone = (id: number | string) =>
  new LivedevError(
    "invocation.eventGone",
    `The event of invocation ${id} is not kept any more, or another key sealed it.`,
    "Give one: `livedev replay <id> --event '{…}'`.",
  );

export const eventNotJson = (reason: string) =>
  new LivedevError(
    "event.notJson",
    `The event is not JSON: ${reason}.`,
    "Lambda takes JSON only; a text needs its quotes.",
  );

// ---- the control socket

export const socketPathTooLong = (path: string, bytes: number, limit: number) =>
  new LivedevError(
    "rpc.socketPathTooLong",
    `The control socket's path has ${bytes} bytes, and the system takes at most ${limit}: ${path}`,
    "Set XDG_RUNTIME_DIR to a shorter directory.",
  );

export const socketDirectoryUnsafe = (directory: string, problem: string) =>
  new LivedevError(
    "rpc.socketDirectoryUnsafe",
    `The control socket's directory ${directory} cannot be trusted: ${problem}.`,
    "Remove it, or set XDG_RUNTIME_DIR to a directory of your own.",
  );

export const socketDirectoryMissing = (directory: string, reason: string) =>
  new LivedevError(
    "rpc.socketDirectoryMissing",
    `The control socket's directory ${directory} cannot be made: ${reason}.`,
    "Set XDG_RUNTIME_DIR to a directory that you may write to.",
  );

export const socketPathOccupied = (path: string, problem: string) =>
  new LivedevError(
    "rpc.socketPathOccupied",
    `The control socket ${path} cannot be made: ${problem}.`,
    `Remove ${path} if it is yours.`,
  );

/** Not a livedevd of this stage: that would hold the lock. */
export const socketAnswers = (path: string) =>
  new LivedevError(
    "rpc.socketAnswers",
    `The control socket ${path} cannot be made: another program answers on it.`,
    "End that program, or set XDG_RUNTIME_DIR to another directory.",
  );

export const webSocketOnly = (method: string) =>
  new LivedevError(
    "rpc.webSocketOnly",
    `${method} needs a WebSocket: an HTTP request has nowhere to send notifications to.`,
    "Connect to ws+unix:<socket>:/rpc, or page through event.list.",
  );

export const tooManySubscriptions = (limit: number) =>
  new LivedevError(
    "rpc.tooManySubscriptions",
    `This connection already has ${limit} subscriptions.`,
    "End some with events.unsubscribe.",
  );

export const tooManyRequests = (limit: number) =>
  new LivedevError(
    "rpc.tooManyRequests",
    `This connection already has ${limit} requests in progress.`,
    "Wait for their answers.",
  );

// ---- history (store/)

export const historyNewer = (file: string, found: number, known: number) =>
  new LivedevError(
    "store.newer",
    `${file} was written by a newer livedev (schema ${found}, this one knows ${known}).`,
    "Update livedev in this project, or move the file away to begin a new history.",
  );

export const stateNotWritable = (path: string, cause: unknown) =>
  new LivedevError(
    "state.notWritable",
    `livedev cannot write to ${path}: ${messageOf(cause)}.`,
    `Make it writable for your user: chmod -R u+rwX ${path}`,
    { cause },
  );

/** Of the file system's refusals and of SQLite's. */
export const isDiskFull = (error: unknown): boolean =>
  ["ENOSPC", "EDQUOT", "SQLITE_FULL"].includes(codeOf(error) ?? "");

export const storageFull = (file: string, cause: unknown) =>
  new LivedevError(
    "storage.full",
    `The disk is full: ${file} could not be written.`,
    "Free some space; recording resumes by itself.",
    { cause },
  );

/** Of a file of the stage's state that the file system refused. */
export const notWritten = (file: string, cause: unknown) =>
  isDiskFull(cause) ? storageFull(file, cause) : stateNotWritable(dirname(file), cause);

export const storageFailed = (file: string, cause: unknown) =>
  new LivedevError(
    "storage.failed",
    `${file} could not be written: ${messageOf(cause)}.`,
    "Recording is tried again by itself; `livedev doctor` says more.",
    { cause },
  );

export const sqliteMissing = (cause: unknown) =>
  new LivedevError(
    "install.sqlite",
    /NODE_MODULE_VERSION/.test(messageOf(cause))
      ? `The native part of better-sqlite3 was built for another Node than this one, ${process.version}.`
      : "The native part of better-sqlite3 is not installed.",
    "Run `npm rebuild better-sqlite3 --ignore-scripts=false`.",
    { cause },
  );

export const historyMissing = (file: string) =>
  new LivedevError("store.missing", `There is no history yet: ${file} does not exist.`);

export const historyDamaged = (file: string, cause: unknown) =>
  new LivedevError(
    "store.damaged",
    `${file} is damaged: ${messageOf(cause)}.`,
    "The next `livedevd start` moves it aside and begins a new one.",
    { cause },
  );

export const historyUnreadable = (file: string, cause: unknown) =>
  new LivedevError("store.unreadable", `${file} could not be read: ${messageOf(cause)}.`, undefined, {
    cause,
  });

export const historyNotRecovered = (file: string, folder: string) =>
  new LivedevError(
    "store.unreadable",
    `${file} was not closed cleanly, and what was written last can only be read where its folder may be written.`,
    `Make it writable for your user: chmod u+w ${folder}`,
  );

// ---- the bridge

export const bridgeCannotListen = (host: string, port: number, cause: Error) =>
  new LivedevError(
    "bridge.cannotListen",
    `The bridge cannot listen on ${host}:${port}: ${cause.message}.`,
    "Stubs connect to this port: end what else uses it, then run `livedevd restart`.",
    { cause },
  );

export const urlPortTaken = (port: number, by: string) =>
  new LivedevError(
    "bridge.urlPortTaken",
    `Port ${port}, where app()'s \`url\` leads to, is taken by ${by}.`,
    "End that program: the port is looked at again by itself.",
  );

export const urlLeadsElsewhere = (address: string, reason: string) =>
  new LivedevError(
    "bridge.urlLeadsElsewhere",
    `${address} does not lead to this daemon: ${reason}.`,
    "Start what forwards it to the port that app()'s `url` names (docs/tunnel.md).",
  );

export const bridgeProofWrong = () =>
  new LivedevError(
    "bridge.proofWrong",
    "The stub's key is not the key of this stage.",
    "`livedevd start` deploys the stub again.",
  );

export const bridgeWrongStage = (
  theirs: { app: string; stage: string },
  ours: { app: string; stage: string },
) =>
  new LivedevError(
    "bridge.wrongStage",
    `The stub belongs to ${theirs.app}/${theirs.stage}, but livedevd here serves ${ours.app}/${ours.stage}.`,
    "`livedevd start` in the stub's own project deploys it again with the right address.",
  );

export const stubTooOld = (theirs: number, ours: number) =>
  new LivedevError(
    "bridge.stubTooOld",
    `The deployed stub speaks protocol ${theirs}, livedevd speaks ${ours}.`,
    "`livedevd start` deploys the stub again.",
  );

export const stubTooNew = (theirs: number, ours: number) =>
  new LivedevError(
    "bridge.stubTooNew",
    `The deployed stub speaks protocol ${theirs}, livedevd only ${ours}: it was deployed by a newer livedev.`,
    "Update livedev, or run `livedevd start` to deploy the stub of this version.",
  );

export const stubFunctionUnknown = (functionName: string, app: string) =>
  new LivedevError(
    "bridge.functionUnknown",
    `The app ${app} has no function named ${functionName} any more.`,
    "`livedevd start` removes its stub, or put the function back into livedev.config.ts.",
  );

/** Why an answer never reached its stub: `bridge.sandboxLost`, `.deadlinePassed`, `.cancelled`, `.closed`, `.failed`. */
export const sandboxLost = (graceMs: number) =>
  new LivedevError("bridge.sandboxLost", `The stub did not come back within ${graceMs / 1000} s.`);

export const deadlinePassed = () =>
  new LivedevError(
    "bridge.deadlinePassed",
    "The invocation's deadline passed before the stub had the answer.",
  );

export const stubCancelled = (reason: string) =>
  new LivedevError("bridge.cancelled", `The stub gave the invocation up: ${reason}.`);

export const bridgeClosed = () =>
  new LivedevError("bridge.closed", "livedevd closed before the stub had the answer.");

export const deliveryFailed = (cause: unknown) =>
  new LivedevError("bridge.failed", `The answer could not be sent whole: ${messageOf(cause)}.`, undefined, {
    cause,
  });

// ---- the config, the stage

export const configMissing = (project: string) =>
  new LivedevError(
    "config.missing",
    `There is no livedev.config.ts in ${project}.`,
    "Create it, or change to the folder that has it. It may also end in .mts, .js or .mjs.",
  );

export const configUnreadable = (file: string, cause: unknown) =>
  new LivedevError("config.unreadable", `${file} cannot be read: ${messageOf(cause)}.`, undefined, { cause });

/** Sentences that already name their place, one a line. */
export const configInvalid = (sentences: readonly string[], hint?: string) =>
  new LivedevError("config.invalid", sentences.join("\n"), hint);

export const configThrew = (at: string, during: "load" | "app" | "run" | "later", message: string) =>
  new LivedevError(
    "config.threw",
    `${at}${during === "app" || during === "run" ? `${during}() failed` : "the config failed"}: ${message}`,
  );

export const configTooSlow = (file: string, limitMs: number) =>
  new LivedevError(
    "config.tooSlow",
    `${file}: the config did not come to an end within ${limitMs / 1000} s and was stopped.`,
    "A loop without end, or an await of something that never comes? A config only says what there is.",
  );

export const configDied = (file: string, exit: { code: number | null; signal: string | null }) =>
  new LivedevError(
    "config.died",
    `${file}: the config's process ended ${exit.signal === null ? `with exit code ${exit.code}` : `by ${exit.signal}`} before run() was done.`,
  );

export const configNoDefault = (file: string) =>
  new LivedevError(
    "config.noDefault",
    `${file}: the config has no default export.`,
    "Begin it with `export default $config({`.",
  );

export const configNotConfig = (file: string) =>
  new LivedevError(
    "config.notConfig",
    `${file}: the default export is no config.`,
    "Write `export default $config({ app() { return { name, home }; }, async run() { … } })`.",
  );

export const configReturnedNothing = (file: string) =>
  new LivedevError(
    "config.returnedNothing",
    `${file}: app() returned nothing.`,
    'Return what the app is: `return { name: "my-app", home: "local" }`.',
  );

export const stageInvalid = (stage: string, from: string) =>
  new LivedevError(
    "stage.invalid",
    `The stage ${JSON.stringify(stage)} (${from}) is no valid name.`,
    "A stage is 1 to 20 letters, digits and dashes, the first and last no dash: dev, ann, pr-12.",
  );

// ---- watching

export const watchesExhausted = (cause: unknown) =>
  codeOf(cause) === "ENOSPC"
    ? new LivedevError(
        "watch.exhausted",
        "The system gives no more file watches, so saves are looked for twice a second instead.",
        "Raise the limit: sudo sysctl fs.inotify.max_user_watches=524288 (in /etc/sysctl.d/ to keep it), then `livedevd restart`.",
        { cause },
      )
    : codeOf(cause) === "EMFILE"
      ? new LivedevError(
          "watch.exhausted",
          "Too many programs watch files, or too many files are open, so saves are looked for twice a second instead.",
          "Raise the limits: sudo sysctl fs.inotify.max_user_instances=1024, and ulimit -n 65536, then `livedevd restart`.",
          { cause },
        )
      : new LivedevError(
          "watch.failed",
          `Files cannot be watched, so saves are looked for twice a second instead: ${messageOf(cause)}.`,
          undefined,
          { cause },
        );

// ---- the local cloud

export const cloudRunning = (stateDir: string, pid: number) =>
  new LivedevError("cloud.running", `A local cloud already serves ${stateDir} (pid ${pid}).`);

export const cloudPortTaken = (port: number) =>
  new LivedevError(
    "cloud.portTaken",
    `Port ${port} is taken by another program, so the local cloud cannot listen where it did before.`,
    "Free the port, or choose another with --port.",
  );

export const cloudStateNewer = (file: string) =>
  new LivedevError(
    "cloud.stateNewer",
    `${file} was written by a newer livedev.`,
    "Update livedev, or choose another --state-dir.",
  );

export const cloudFailed = (logFile: string, lastLine: string) =>
  new LivedevError(
    "cloud.failed",
    `The local cloud did not start: ${lastLine || "it said nothing."}`,
    `Its log: ${logFile}`,
  );

export const cloudNotStopped = (pid: number) =>
  new LivedevError("cloud.notStopped", `The local cloud (pid ${pid}) has not stopped within 10 seconds.`);

export const cloudUsage = (message: string) =>
  new LivedevError("cloud.usage", message, "See `livedev cloud --help`.");

// ---- AWS, deployment

type WhoseKeys = { readonly profile: string | undefined; readonly fromEnvironment?: boolean };

export const credentialsFailed = (whose: WhoseKeys, cause: unknown) =>
  new LivedevError(
    "aws.credentials",
    `AWS credentials ${whose.profile === undefined ? "" : `of the profile ${whose.profile} `}are absent or not valid: ${messageOf(cause)}`,
    `${refreshing(whose)} Then run the command again: it goes on from where this one stopped.`,
    { cause },
  );

function refreshing({ profile, fromEnvironment = false }: WhoseKeys): string {
  if (profile !== undefined)
    return `Run \`aws sso login --profile ${profile}\`, or \`aws configure --profile ${profile}\` for keys.`;
  return fromEnvironment
    ? "They are the keys that livedevd was started with: set fresh ones (AWS_ACCESS_KEY_ID and its like) and run `livedevd restart`."
    : "Set a profile in livedev.config.ts or AWS_PROFILE and run `aws sso login --profile <name>`, or `aws configure` for keys.";
}

export const awsUnreachable = (where: string, cause: unknown) =>
  new LivedevError(
    "aws.unreachable",
    `AWS cannot be reached at ${where}: ${messageOf(cause)}.`,
    "Is the network up, and is the region or the endpoint right?",
    { cause },
  );

export const awsDenied = (action: string | undefined, doing: string, cause: unknown) =>
  new LivedevError(
    "aws.denied",
    `AWS denies ${action ?? "this"} (${doing}): ${messageOf(cause)}`,
    action === undefined
      ? "The credentials lack a permission."
      : `The credentials need the permission ${action}.`,
    { cause },
  );

export const awsThrottled = (doing: string, cause: unknown) =>
  new LivedevError(
    "aws.throttled",
    `AWS kept throttling (${doing}): ${messageOf(cause)}`,
    "Wait a minute and try again: what was done is kept.",
    { cause },
  );

export const awsFailed = (doing: string, name: string, cause: unknown) =>
  new LivedevError("aws.failed", `${doing} failed with ${name}: ${messageOf(cause)}`, undefined, { cause });

export const notOurs = (what: string, name: string, app: string, stage: string) =>
  new LivedevError(
    "deploy.notOurs",
    `There is a ${what} named ${name} already, and it is not of ${app}/${stage}: its tags do not say so.`,
    "Give the app, the stage or the component another name, or remove the other one by hand.",
  );

export const functionBroken = (name: string, reason: string) =>
  new LivedevError("deploy.functionFailed", `Lambda could not make ${name} ready: ${reason}.`);

export const releaseBroken = (name: string, errors: readonly BuildError[]) =>
  new LivedevError(
    "deploy.buildFailed",
    [`aws.Function "${name}" does not build; nothing was changed.`, ...errors.map(buildErrorLine)].join("\n"),
  );

const buildErrorLine = ({ text, file, line }: BuildError) =>
  `  ${file === undefined ? "" : `${file}${line === undefined ? "" : `:${line}`}: `}${text}`;

export const copyMissing = (name: string, from: string) =>
  new LivedevError(
    "deploy.copyMissing",
    `copyFiles of aws.Function "${name}" names ${from}, which is not there; nothing was changed.`,
  );

export const packageTooLarge = (name: string, megabytes: number) =>
  new LivedevError(
    "deploy.packageTooLarge",
    `The package of aws.Function "${name}" has ${megabytes} MB; Lambda takes at most 250 MB. Nothing was changed.`,
    "Leave out what is not needed: copyFiles, nodejs.install, large imports.",
  );

export const packageUnknown = (name: string, packageName: string) =>
  new LivedevError(
    "deploy.packageUnknown",
    `nodejs.install of aws.Function "${name}" names ${packageName}, which the project does not have.`,
    `Run \`npm install ${packageName}\`.`,
  );

export const installFailed = (name: string, command: string, said: string) =>
  new LivedevError(
    "deploy.installFailed",
    `nodejs.install of aws.Function "${name}" failed (${command}): ${said}`,
  );

export const installNeedsPlatform = (name: string, packages: readonly string[], platform: string) =>
  new LivedevError(
    "deploy.installNeedsPlatform",
    `aws.Function "${name}" installs ${packages.join(", ")}, which is built when it is installed and cannot be built here for ${platform}.`,
    `Deploy from a ${platform} machine, or use a release of the package that carries its binaries.`,
  );

export const notDeployable = (components: readonly string[]) =>
  new LivedevError(
    "deploy.notDeployable",
    `Nothing was changed: livedev cannot deploy ${components.join(", ")}.`,
    "Give the component a `deploy.command`, or deploy it by a Stack.",
  );

export const stackNeedsAws = (components: readonly string[]) =>
  new LivedevError(
    "deploy.stackNeedsAws",
    `The local cloud has no CloudFormation, so it cannot hold ${components.join(", ")}: use home "aws", or set \`endpoint\`.`,
  );

export const vpcNotFound = (name: string, by: string, region: string) =>
  new LivedevError(
    "deploy.vpcNotFound",
    `Nothing was changed: aws.Vpc "${name}" is to be the one with ${by}, and ${region} has none.`,
    "Is the region right, and the account?",
  );

export const vpcNotOne = (name: string, by: string, ids: readonly string[]) =>
  new LivedevError(
    "deploy.vpcNotOne",
    `Nothing was changed: aws.Vpc "${name}" is to be the one with ${by}, and ${ids.length} have them: ${ids.join(", ")}.`,
    "Name one by its id.",
  );

export const deployCycle = (components: readonly string[]) =>
  new LivedevError(
    "deploy.cycle",
    `Nothing was changed: ${components.join(" needs ")}, so none of them can be made first.`,
    "Let one of them do without the other's output.",
  );

export const stackFailed = (name: string, status: string, reason: string) =>
  new LivedevError("deploy.stackFailed", `CloudFormation ended with ${status} for ${name}: ${reason}`);

export const commandFailed = (kind: string, name: string, command: string, how: string, said: string) =>
  new LivedevError(
    "deploy.commandFailed",
    `The command of ${kind} "${name}" (${command}) ended with ${how}.${said === "" ? "" : `\n${said}`}`,
  );

export const siteEmpty = (name: string, folder: string) =>
  new LivedevError(
    "deploy.siteEmpty",
    `aws.StaticSite "${name}" has no files: ${folder} is empty or not there.`,
    "Is `build.output` the folder that the build writes?",
  );

export const deployStopped = (app: string, stage: string) =>
  new LivedevError(
    "deploy.stopped",
    `The deployment of ${app}/${stage} was stopped between two steps.`,
    "What was done is kept: `livedev deploy` goes on from there, `livedev remove` takes it away.",
  );

export const stageMoved = (before: string, now: string) =>
  new LivedevError(
    "stage.moved",
    `Nothing was changed: ${before} still stands, and livedev.config.ts says ${now} now, under which nothing of it is found.`,
    "Put the config back and run `livedev remove` first; or run the command again to leave it standing there.",
  );

export const neverConfigured = (stage: string) =>
  new LivedevError(
    "stage.unknown",
    `The config of ${stage} has never been loaded here, so its app and region are not known.`,
    "Mend livedev.config.ts first.",
  );

export const stateConflict = (app: string, stage: string) =>
  new LivedevError(
    "state.conflict",
    `The state of ${app}/${stage} was changed by another meanwhile.`,
    "Try again: what was done is kept.",
  );

export const stateNotOfStage = (app: string, stage: string) =>
  new LivedevError(
    "state.notOfStage",
    `This is no exported state of ${app}/${stage}.`,
    "`livedev state export` writes one.",
  );

export const updateUndone = (name: string, cause: unknown) =>
  new LivedevError(
    "deploy.undone",
    `${name} was not updated and runs its previous code: ${messageOf(cause)}`,
    undefined,
    { cause },
  );

export const notRestored = (name: string, first: unknown, then: unknown) =>
  new LivedevError(
    "deploy.notRestored",
    `${name} was not updated (${messageOf(first)}), and its previous code could not be put back: ${messageOf(then)}`,
    "Deploy again: the function is brought to what the config says.",
    { cause: first },
  );

export const functionTooLong = (name: string, seconds: number) =>
  new LivedevError(
    "deploy.functionPending",
    `Lambda did not make ${name} ready within ${seconds} s.`,
    "Try again: what was done is kept.",
  );

export const notDeployed = (name: string) =>
  new LivedevError(
    "function.notDeployed",
    `The function ${name} is not deployed.`,
    "Run `livedevd start` first.",
  );

export const driftUnknown = (resource: string, reason: string) =>
  `Whether resources of ${resource} were changed behind livedev's back is not known: ${reason}`;

export const stageProtected = (app: string, stage: string) =>
  new LivedevError(
    "deploy.protected",
    `${app}/${stage} is protected and is not removed.`,
    "Take `protect` out of livedev.config.ts first.",
  );

export const stageProtectedFromStubs = (app: string, stage: string) =>
  new LivedevError(
    "deploy.protected",
    `${app}/${stage} is protected: no stubs are put in place of what it holds.`,
    "Develop on a stage of your own (`livedevd start --stage <name>`), or take `protect` out of livedev.config.ts first.",
  );

// ---- frontends and services

export const unknownProcess = (name: string, known: readonly string[]) =>
  new LivedevError(
    "process.unknown",
    `There is no frontend, service or command named ${name}.`,
    known.length > 0
      ? `There are: ${known.join(", ")}.`
      : "None is supervised: the config names none, or nobody has gone live (`livedevd start`).",
  );

export const notOneProcess = (directory: string, there: readonly string[], known: readonly string[]) =>
  new LivedevError(
    "process.notOne",
    there.length === 0
      ? `No frontend or service of the config has the directory ${directory}.`
      : `${there.join(", ")} all have the directory ${directory}.`,
    known.length === 0
      ? "livedev.config.ts names none; `livedev run -- <command>` gives a command all links of the app."
      : `Name it: \`livedev dev --as <name> -- <command>\`. There are: ${known.join(", ")}.`,
  );

export const processesClosed = () =>
  new LivedevError("process.closed", "livedevd is stopping, and its processes with it.");

export const noTerminal = (reason: string) =>
  new LivedevError(
    "process.noTerminal",
    `livedevd has no terminals on this machine (${process.platform}, ${process.arch}), so it runs no frontends or services: ${reason.split("\n", 1)[0] ?? ""}`,
    "Install livedev with its optional dependencies, or start them yourself: `livedev dev -- <command>`.",
  );

export const processNotStarted = (reason: string) =>
  new LivedevError("process.notStarted", `It could not be started: ${reason}`);

export const noPty = (reason: string) =>
  new LivedevError(
    "process.noPty",
    `The system gives no terminal (PTY) to run it in: ${reason}`,
    "See that /dev/ptmx is there and yours to open, and that fewer are in use than /proc/sys/kernel/pty/max; then `livedev start` it.",
  );

export const directoryMissing = (name: string, directory: string) =>
  new LivedevError(
    "process.directoryMissing",
    `The directory of ${name} is missing: ${directory}.`,
    "Mend `path` or `dev.directory` in livedev.config.ts.",
  );

// ---- links and secrets

export const secretBroken = (name: string, file: string) =>
  new LivedevError(
    "secret.broken",
    `The secret ${name} cannot be opened: ${file} was changed, or sealed with another key.`,
    `Set it anew: \`livedev secret set ${name}\`.`,
  );

export const secretsKeyBroken = (file: string) =>
  new LivedevError(
    "secret.keyBroken",
    `${file} does not hold the key of this project's secrets, so none of them can be opened.`,
    "Restore it; or remove its folder, and set the secrets anew.",
  );

export const credentialsUnknown = (functionName: string) =>
  new LivedevError(
    "credentials.unknown",
    `The stub of ${functionName} did not reach livedevd, so its credentials are not known.`,
    "Run `livedevd start`: it puts the stubs in place anew.",
  );

export const stubMissing = (functionName: string, stage: string, holdsCode: boolean) =>
  new LivedevError(
    "credentials.noStub",
    holdsCode
      ? `${functionName} holds deployed code in stage ${stage}: only a stub can lend its permissions.`
      : `${functionName} has no stub in stage ${stage}: only a stub can lend its permissions.`,
    holdsCode
      ? "Use a stage of your own, or put stubs in place: `livedevd start --yes`."
      : "Put it in place: `livedevd start`.",
  );

export const secretNameInvalid = (name: string) =>
  new LivedevError(
    "secret.nameInvalid",
    `${JSON.stringify(name)} cannot be a secret's name.`,
    "Write letters, digits and _, at most 50, the first a letter: the name that the config gives it.",
  );

export const secretEmpty = (name: string) =>
  new LivedevError(
    "secret.empty",
    `The value of ${name} is empty.`,
    `\`livedev secret remove ${name}\` takes a value away.`,
  );

export const secretsMissing = (names: readonly string[], stage: string) =>
  new LivedevError(
    "secret.missing",
    `${names.length === 1 ? `The secret ${names[0]} has` : `The secrets ${names.join(", ")} have`} no value in stage ${stage}.`,
    names.map((name) => `\`livedev secret set ${name} --stage ${stage}\``).join(", "),
  );

export const stageKeyBroken = (file: string) =>
  new LivedevError(
    "stage.keyBroken",
    `${file} does not hold a stage's key.`,
    "Delete it: a new key is drawn, and the next start gives it to the stubs.",
  );

export const localKeyBroken = (file: string) =>
  new LivedevError(
    "local.keyBroken",
    `${file} does not hold a key.`,
    "Delete it: a new one is drawn. Programs that ask livedevd for credentials, and debuggers, are then started anew.",
  );

// ---- debugging

export const aloneAtBreakpoint = (first: boolean): string =>
  first
    ? "livedev: AWS's time for this invocation is over while its handler stood at a breakpoint. It goes on here, and its answer reaches nobody: the caller has an error, and a queue sends the event again. `livedev debug on --max-timeout` raises the deployed time-outs meanwhile."
    : "livedev: AWS's time for this invocation is over; it goes on here, and its answer reaches nobody.";

export const waitsForDebugged = (functionName: string, most: number): string =>
  `livedev: a debugger is attached, and ${most === 1 ? "one worker" : `${most} workers`} of ${functionName} ${most === 1 ? "is" : "are"} busy; this event waits for its turn.`;

export const debugPortInUse = (port: number, reason: string): string =>
  `Port ${port} for debuggers cannot be listened on (${reason}); tried until it can.`;

export const debuggerSilent = (functionName: string, ms: number): string =>
  `livedev: the debugger did not say within ${ms / 1000} s that ${functionName} may be loaded; it is loaded now, and breakpoints in its init code may be missed.`;

export const breakpointsNotSet = (functionName: string, ms: number): string =>
  `livedev: behind the save ${functionName} waited ${ms / 1000} s for its debugger to set the breakpoints in the new code, and runs now; one may be missed.`;

export const noWorkerToAsk = (functionName: string): string =>
  `No worker of ${functionName} runs now. The next event starts one.`;

// ---- the tunnel

export const tunnelUnreachable = (host: string, reason: string) =>
  new LivedevError(
    "tunnel.unreachable",
    `${host} cannot be reached: ${reason}.`,
    "It is tried again by itself.",
  );

export const tunnelAuthFailed = (host: string, user: string, tried: readonly string[]) =>
  new LivedevError(
    "tunnel.authFailed",
    `${host} does not let ${user} in${tried.length === 0 ? ": there is no key to show" : ` by ${tried.join(", ")}`}.`,
    "Put the public key into its authorized_keys, or name another key: bastion: { user, key }.",
  );

export const tunnelFileUnsafe = (file: string, problem: string, command: string) =>
  new LivedevError("tunnel.fileUnsafe", `${file} cannot be trusted: ${problem}.`, `Run \`${command}\`.`);

export const keyUnreadable = (file: string, reason: string) =>
  new LivedevError(
    "tunnel.keyUnreadable",
    `The private key ${file} cannot be used: ${reason}.`,
    "Name another: bastion: { key }, or IdentityFile in ~/.ssh/config.",
  );

export const keyEncrypted = (file: string) =>
  new LivedevError(
    "tunnel.keyEncrypted",
    `The private key ${file} has a passphrase, which livedevd cannot ask for.`,
    `Give it to an agent: \`ssh-add ${file}\`, then \`livedevd restart\`.`,
  );

export const tunnelProxyLoop = (list: string) =>
  new LivedevError(
    "tunnel.proxyLoop",
    `~/.ssh/config leads in a circle: ProxyJump ${list}.`,
    "Mend the ProxyJump lines of these hosts.",
  );

type HostShown = { readonly name: string; readonly host: string; readonly port: number };

const inKnownHosts = ({ host, port }: HostShown) => (port === 22 ? host : `[${host}]:${port}`);

export const hostUnknown = (shown: HostShown, fingerprint: string, file: string) =>
  new LivedevError(
    "tunnel.hostUnknown",
    `${shown.name} is not known here: its key is ${fingerprint}, and ${file} has none of ${inKnownHosts(shown)}.`,
    `Compare that with the host's own (\`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\` there), then add it: \`ssh ${shown.port === 22 ? "" : `-p ${shown.port} `}${shown.host}\`.`,
  );

export const hostKeyChanged = (
  shown: HostShown,
  fingerprint: string,
  known: readonly string[],
  at: { readonly file: string; readonly line: number },
) =>
  new LivedevError(
    "tunnel.hostKeyChanged",
    `The key of ${shown.name} has changed: it shows ${fingerprint}, and known is ${known.join(", ")} (${at.file}:${at.line}). It may be another host that pretends to be this one.`,
    `Where you know why it changed: \`ssh-keygen -f ${at.file} -R '${inKnownHosts(shown)}'\`, then add the new one.`,
  );

export const hostKeyRevoked = (host: string, fingerprint: string) =>
  new LivedevError(
    "tunnel.hostKeyRevoked",
    `The key of ${host}, ${fingerprint}, is marked as revoked in the known hosts.`,
    "Give the host a new key.",
  );

export const gatewayPortsNo = (address: string, port: number) =>
  new LivedevError(
    "tunnel.gatewayPorts",
    `The bastion's sshd binds our port to its own loopback, so that stubs cannot reach ${address}:${port}: \`GatewayPorts no\` is in force there.`,
    "Set `GatewayPorts clientspecified` in its /etc/ssh/sshd_config, then `systemctl reload ssh`.",
  );

export const wayInRefused = (reason: string, line: string) =>
  new LivedevError(
    "tunnel.wayInRefused",
    `The bastion gives us no port for stubs: ${reason}.`,
    `It needs ${line}.`,
  );

export const wayInBlocked = (address: string, port: number, reason: string) =>
  new LivedevError(
    "tunnel.wayInBlocked",
    `The bastion's port ${address}:${port} does not lead here: ${reason}.`,
    "See what is between: a firewall on the bastion, or an address that is not its own (bastion: { listen: { address } }).",
  );

export const tunnelDown = (reason: string, hint: string | undefined) =>
  new LivedevError("tunnel.down", `Stubs have no way to this machine: ${reason}`, hint);

export const tunnelNotYet = () =>
  new LivedevError(
    "tunnel.down",
    "Stubs have no way to this machine: the tunnel has not told its address yet.",
    "Try again in a moment.",
  );

/** For the counter of refusals. */
export const portNotForGuests = (): string => "another user connected to it";
