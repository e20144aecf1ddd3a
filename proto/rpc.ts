/**
 * The control API's methods: the schemas that validate are the ones that `rpc.discover` publishes (OpenRPC). Clients
 * use `import type`. Methods are `noun.verb`.
 */
import * as z from "zod";

import type { RecordedEvent } from "./events.ts";

const cursor = z.strictObject({
  database: z.string().describe("Id of the history database."),
  seq: z.int().min(0).describe("The last sequence number seen."),
});

const filter = {
  types: z
    .array(z.string())
    .optional()
    .describe("Event types, all where absent. `invocation.*` matches a family."),
  functionName: z.string().optional().describe("Only events of this function, or of this process."),
};

const recordedEvent = z
  .object({ seq: z.int(), at: z.number(), event: z.looseObject({ type: z.string() }) })
  .describe("An event with its sequence number and wall-clock time in milliseconds.")
  // The union itself is proto/events.ts; its shape is open on the wire, so that an older client reads newer events.
  .transform((value) => value as unknown as RecordedEvent);

const buildError = z.object({
  text: z.string(),
  file: z.string().optional(),
  line: z.int().optional().describe("From 1."),
  column: z.int().optional().describe("From 0."),
  lineText: z.string().optional(),
});

const functionStatus = z.object({
  name: z.string(),
  handler: z.string(),
  runtime: z.string(),
  node: z
    .string()
    .optional()
    .describe("The Node that runs it here, where none of its runtime's version was found: v20.20.0."),
  state: z
    .enum(["idle", "building", "ready", "broken"])
    .describe("idle: not built yet; broken: the last build failed, `errors` says how."),
  codeHash: z.string().optional(),
  errors: z.array(buildError).optional(),
  workers: z.int().describe("Processes that are up for it."),
  running: z.int().describe("Invocations in progress."),
  queued: z.int().describe("Invocations waiting for a worker."),
  url: z.string().optional(),
  functionArn: z.string().optional(),
});

const processStatus = z.object({
  name: z.string(),
  title: z.string(),
  kind: z.string().describe("`aws.Nextjs`, `aws.Service`, `DevCommand` …"),
  command: z.string(),
  directory: z.string().describe("Relative to the project."),
  autostart: z.boolean().describe("Whether it starts with the stage; otherwise by `process.start` alone."),
  state: z
    .enum(["waiting", "starting", "ready", "stopping", "crashed", "stopped"])
    .describe("waiting: for a process that it links to, or for a port; crashed: it is started again."),
  since: z.number().describe("When it came into this state; milliseconds since the epoch."),
  why: z.string().optional().describe("What it waits for, how it ended."),
  url: z.string().optional().describe("Where it answers, also where it answered last."),
  pid: z.int().optional(),
  retryAt: z.number().optional().describe("When it is started again."),
  restarts: z.int().describe("How often it was started beyond the first time, since the daemon runs."),
  restarted: z
    .object({ at: z.number(), why: z.string() })
    .optional()
    .describe("The last of these: how it crashed, what of it changed, or that somebody asked."),
  processes: z.int().optional().describe("With `usage`: of its whole tree."),
  cpu: z
    .number()
    .optional()
    .describe("With `usage`: 1 is one core, of its whole tree, since it was last asked."),
  memoryBytes: z.int().optional().describe("With `usage`: resident, of its whole tree."),
});

const status = z.object({
  app: z.string(),
  stage: z.string(),
  home: z.enum(["local", "aws"]),
  project: z.string(),
  pid: z.int(),
  version: z.string(),
  startedAt: z.number(),
  config: z.discriminatedUnion("state", [
    z.object({ state: z.literal("loading") }),
    z.object({ state: z.literal("ready") }),
    z.object({
      state: z.literal("broken"),
      message: z.string(),
      file: z.string().optional(),
      line: z.int().optional(),
    }),
  ]),
  live: z.discriminatedUnion("state", [
    z.object({ state: z.literal("off") }).describe("Stubs are not in place: nobody has gone live yet."),
    z.object({ state: z.literal("deploying"), step: z.string().optional() }),
    z.object({
      state: z.literal("live"),
      since: z.number(),
      outputs: z.record(z.string(), z.unknown()).describe("What the config's run() returned."),
    }),
    z.object({ state: z.literal("failed"), message: z.string(), hint: z.string().optional() }),
  ]),
  bridge: z.object({
    address: z.string(),
    sandboxes: z.int().describe("Stubs connected now."),
    down: z
      .object({ since: z.number(), reason: z.string() })
      .optional()
      .describe("No stub can connect; tried again by itself."),
  }),
  cloud: z
    .object({ endpoint: z.string(), running: z.boolean() })
    .optional()
    .describe("The local cloud, for home: local; it is stopped by `livedev cloud stop` alone."),
  functions: z.array(functionStatus),
  processes: z.array(processStatus).describe("Frontends, services and commands, once the stage is live."),
});

const invocationSummary = z.object({
  id: z.int().describe("Sequence number of its invocation.received."),
  requestId: z.string(),
  functionName: z.string(),
  status: z
    .enum(["received", "running", "answered", "ok", "error", "interrupted", "undelivered", "expired"])
    .describe("`ok` and `error` only once the stub has acked the answer; `expired`: too late to be run."),
  receivedAt: z.number(),
  durationMs: z.number().optional(),
  coldStart: z.boolean().optional(),
  codeHash: z.string().optional(),
  errorType: z.string().optional(),
  errorMessage: z.string().optional(),
  retryOf: z.int().optional(),
  replayOf: z.int().optional().describe("The invocation whose event this one ran again."),
  local: z.boolean().optional().describe("Run by a client on this machine alone, without AWS."),
});

const payload = z.object({
  text: z.string().describe("The bytes as UTF-8 text, sensitive parts replaced by «sealed»."),
  bytes: z.int(),
  sealed: z.boolean().describe("Whether parts of it are shown redacted."),
});

const invocation = invocationSummary.extend({
  event: payload,
  answer: payload.optional(),
  logs: z.array(
    z.object({ seq: z.int(), at: z.number(), stream: z.enum(["stdout", "stderr"]), text: z.string() }),
  ),
});

const finding = z.object({
  id: z.string().describe("Stable, for scripts: `socket.directory`, `function.invokesItself` …"),
  level: z.enum(["ok", "warning", "error"]),
  title: z.string().describe("What was found, one sentence."),
  fix: z.string().optional().describe("The command or step that mends it."),
});

const localAnswer = z.object({
  id: z.int().describe("Of the new row in history."),
  status: z.enum(["ok", "error"]),
  errorType: z.string().optional(),
  payload: z.string().describe("The answer as UTF-8 text, unredacted."),
  durationMs: z.number(),
});

const plannedStep = z.object({
  step: z.enum(["create", "update", "delete"]),
  resource: z.string().describe('In the app\'s words: `aws.Function "MyApi" role`.'),
  changes: z.array(z.object({ what: z.string(), from: z.string().optional(), to: z.string().optional() })),
  drift: z.boolean().describe("Changed by somebody else since it was deployed."),
});

const stageState = z.object({
  version: z.literal(1),
  app: z.string(),
  stage: z.string(),
  region: z.string(),
  at: z.string(),
  mode: z.enum(["dev", "release"]),
  resources: z.array(z.object({ is: z.string(), component: z.string(), nameInAws: z.string() })),
  code: z.record(z.string(), z.object({ key: z.string(), sha256: z.string(), handler: z.string() })),
});

const secret = z.object({
  name: z.string(),
  from: z
    .enum(["stage", "fallback", "placeholder", "nowhere"])
    .describe("Whose value counts. `placeholder`: the one that stands in the config."),
  inConfig: z.boolean().describe("Whether the config names it."),
  value: z.string().optional().describe("Only where `reveal` asked for it, and not of a placeholder."),
});

const processName = { name: z.string() };

const debugging = z.discriminatedUnion("state", [
  z.object({ state: z.literal("off") }),
  z.object({
    state: z.literal("on"),
    port: z.int(),
    waiting: z.string().optional().describe("Why the port does not listen yet; tried until it does."),
    maxTimeout: z.boolean().describe("Whether deployed time-outs are raised meanwhile."),
    tokenOnly: z
      .boolean()
      .describe("Whether the port names no addresses: who has none from here cannot attach."),
    websocketAddress: z
      .string()
      .describe(
        "Of all workers, as js-debug's `websocketAddress` takes it. The token in it stays over restarts.",
      ),
    targets: z.array(z.object({ functionName: z.string(), websocketAddress: z.string() })),
    sessions: z.int().describe("Debuggers that are attached."),
    workers: z.array(z.object({ functionName: z.string(), pid: z.int(), paused: z.boolean() })),
  }),
]);

const problem = z.object({ code: z.string(), message: z.string(), hint: z.string().optional() });

const traffic = z.object({
  open: z.int().describe("Connections now."),
  opened: z.int().describe("Connections since the daemon runs."),
  bytesIn: z.int().describe("From the far end to this machine."),
  bytesOut: z.int().describe("From this machine to the far end."),
});

const tunnel = z.discriminatedUnion("state", [
  z.object({ state: z.literal("off") }).describe("No bastion is configured."),
  z.object({
    state: z.enum(["connecting", "up", "waiting"]),
    host: z.string(),
    since: z.number(),
    problem: problem.optional().describe("Why it is not up."),
    retryAt: z.number().optional().describe("When it is tried again."),
    cipher: z.string().optional(),
    native: z.boolean().optional().describe("By ssh2's compiled ciphers, rather than Node's."),
    address: z.string().optional().describe("Where stubs reach this machine; tried from the bastion's side."),
    addressProblem: problem.optional().describe("Why they do not."),
    connects: z.int().describe("How often it came up since the daemon runs."),
    inward: traffic.describe("Stubs' connections."),
    outward: traffic.describe("Connections into the VPC."),
    ports: z
      .array(
        z.object({
          name: z.string().describe("The linked component."),
          host: z.string(),
          port: z.int(),
          local: z.int().describe("The port of 127.0.0.1 that leads there."),
          takenBy: z.string().optional().describe("Who has that port instead; looked at again by itself."),
        }),
      )
      .describe("A fixed port for each linked host."),
    socks: z.object({ port: z.int(), takenBy: z.string().optional() }).optional(),
  }),
]);

const none = z.strictObject({});

export const RPC = {
  "rpc.discover": {
    summary: "This API as an OpenRPC document.",
    params: none,
    result: z.looseObject({ openrpc: z.string() }),
  },
  "daemon.hello": {
    summary:
      "Compares the client's protocol and environment with the daemon's; the first call of a connection.",
    params: z.strictObject({
      protocol: z.int().describe("RPC_PROTOCOL of the client."),
      version: z.string().describe("Version of the client's package."),
      environment: z
        .record(z.string(), z.string())
        .optional()
        .describe(
          "AWS_PROFILE, AWS_REGION, AWS_DEFAULT_REGION, PATH of the client; a differing profile is refused.",
        ),
      node: z.string().optional().describe("process.version of the client."),
    }),
    result: z.object({
      protocol: z.int(),
      version: z.string(),
      pid: z.int(),
      epoch: z.string().describe("This daemon instance."),
      project: z.string(),
      app: z.string(),
      stage: z.string(),
      database: z.string().describe("Id of the history database, for cursors."),
    }),
  },
  "daemon.status": { summary: "All that the daemon knows of itself now.", params: none, result: status },
  "daemon.stop": {
    summary: "Drains running invocations, then ends the daemon. Answers before it begins.",
    params: z.strictObject({
      restarting: z.boolean().optional().describe("Tells the stubs to wait for it."),
    }),
    result: z.object({ pid: z.int() }),
  },
  "stage.goLive": {
    summary:
      "Puts stubs in place of the stage's functions. Answers when they stand. Refused with `stage.holdsCode` where deployed code would be replaced for the first time, and with `deploy.protected` where the config protects the stage.",
    params: z.strictObject({
      yes: z.boolean().optional().describe("The user agrees that stubs replace deployed code."),
      takeOver: z
        .boolean()
        .optional()
        .describe("Takes the stage from whoever holds it, who is named by the error `stage.held` otherwise."),
      newKey: z
        .boolean()
        .optional()
        .describe(
          "Draws another key for the stubs; those with the one before are served for 15 minutes more.",
        ),
      processes: z
        .boolean()
        .optional()
        .describe("`false`: frontends and services that do not run yet are left alone."),
    }),
    result: z.object({ steps: z.int(), tookMs: z.number(), urls: z.record(z.string(), z.string()) }),
  },
  "stage.plan": {
    summary: "What a deployment would change, and what was changed behind its back. Changes nothing.",
    params: z.strictObject({
      dev: z.boolean().optional().describe("What going live would change, in place of a deployment."),
    }),
    result: z.object({
      steps: z.array(plannedStep),
      commands: z
        .array(z.object({ resource: z.string(), command: z.string() }))
        .describe("Run by each deployment: whether they change anything is theirs to know."),
      notes: z.array(z.string()).describe("What could not be looked at, a sentence each."),
    }),
  },
  "stage.deploy": {
    summary:
      "Puts the functions' own code in place of stubs, and everything else of the app with it; the stage is not live afterwards. Answers when it stands; `deploy.*` events tell how far it is. Cancelled, it stops between two steps.",
    params: none,
    result: z.object({
      steps: z.int(),
      tookMs: z.number(),
      urls: z.record(z.string(), z.string()),
      outputs: z.record(z.string(), z.unknown()).describe("What the config's run() returned."),
    }),
  },
  "stage.remove": {
    summary:
      "Deletes everything of the stage, found by its tags, also when the config does not load. Refused with `deploy.protected` where the config protects the stage.",
    params: none,
    result: z.object({
      steps: z.int(),
      tookMs: z.number(),
      kept: z
        .array(z.string())
        .describe("What stays because it holds data and the config's `removal` keeps it."),
    }),
  },
  "stage.exportState": {
    summary: "What is known of the stage beside its resources' tags; null where nothing was deployed.",
    params: none,
    result: stageState.nullable(),
  },
  "stage.importState": {
    summary: "Puts an exported state in place of the stage's.",
    params: z.strictObject({ state: stageState }),
    result: z.object({}),
  },
  "secret.list": {
    summary: "The app's secrets, and which of them have a value in the stage.",
    params: z.strictObject({ reveal: z.boolean().optional().describe("With their values.") }),
    result: z.array(secret),
  },
  "secret.set": {
    summary: "Sets secrets. Functions have the new values from their next event on.",
    params: z.strictObject({
      values: z.record(z.string(), z.string()).describe("By name."),
      fallback: z.boolean().optional().describe("For all stages of the app that have no value of their own."),
    }),
    result: z.object({}),
  },
  "secret.remove": {
    summary: "Takes a secret's value away.",
    params: z.strictObject({ name: z.string(), fallback: z.boolean().optional() }),
    result: z.object({ removed: z.boolean().describe("False where there was none.") }),
  },
  "environment.get": {
    summary:
      "What `livedev run` gives a command: the links, environment and permissions of a function, or without one the app's links and the developer's permissions. Refused with `credentials.noStub` where no stub can lend the function's permissions.",
    params: z.strictObject({
      as: z.string().optional().describe("The name of a function, a frontend or a service in the config."),
      directory: z
        .string()
        .optional()
        .describe("In the place of `as`: whose directory this is, of the frontends and services; absolute."),
      reveal: z.boolean().optional().describe("Values as they are, secrets among them; otherwise redacted."),
    }),
    result: z.object({
      as: z.string().optional().describe("Whose these are, where it is somebody's."),
      variables: z.record(z.string(), z.string()),
      unset: z
        .array(z.string())
        .describe("What must not be in the command's environment; a `*` at the end stands for any rest."),
      nodeOptions: z
        .string()
        .optional()
        .describe("Goes behind whatever NODE_OPTIONS the command has: Node programs then reach the VPC."),
    }),
  },
  "debug.on": {
    summary: "Opens the port that debuggers attach to; on another port where one is given.",
    params: z.strictObject({
      port: z.int().min(0).max(65_535).optional().describe("9229, or the one that it has, where absent."),
      maxTimeout: z
        .boolean()
        .optional()
        .describe("Raises the deployed functions' time-outs to what AWS allows, until debugging is off."),
      tokenOnly: z
        .boolean()
        .optional()
        .describe("Whether the port keeps its addresses, and their tokens, to itself."),
    }),
    result: debugging,
  },
  "debug.off": {
    summary: "Closes it; workers run on without. Raised time-outs are put back.",
    params: none,
    result: debugging,
  },
  "debug.status": { summary: "Who debugs what now.", params: none, result: debugging },
  "tunnel.status": {
    summary: "The SSH connection to the bastion: whether it is up, its ports, what goes through it.",
    params: none,
    result: tunnel,
  },
  "function.list": { summary: "The app's functions.", params: none, result: z.array(functionStatus) },
  "function.invoke": {
    summary: "Invokes a deployed function through AWS (or the local cloud), the whole way.",
    params: z.strictObject({
      functionName: z.string(),
      event: z.string().describe("JSON text, passed on byte for byte."),
      type: z.enum(["RequestResponse", "Event"]).optional(),
    }),
    result: z.object({
      statusCode: z.int(),
      requestId: z.string(),
      functionError: z.string().optional(),
      payload: z.string().describe("The answer as UTF-8 text."),
    }),
  },
  "function.invokeLocal": {
    summary: "Runs the function's code in a worker on this machine, without AWS; the row in history says so.",
    params: z.strictObject({
      functionName: z.string(),
      event: z.string().describe("JSON text, passed on byte for byte."),
    }),
    result: localAnswer,
  },
  "invocation.replay": {
    summary: "Runs an invocation's event again, on today's code, without AWS.",
    params: z.strictObject({
      id: z.union([z.int(), z.string()]).describe("Its id, or a request id (the latest of it)."),
      event: z.string().optional().describe("Another event in place of the recorded one."),
    }),
    result: localAnswer,
  },
  "process.list": {
    summary: "Frontends, services and commands that the daemon supervises.",
    params: z.strictObject({ usage: z.boolean().optional().describe("With processor time and memory.") }),
    result: z.array(processStatus),
  },
  "process.start": {
    summary: "Starts a process, unless it runs. Answers at once; `process.*` events tell how it goes on.",
    params: z.strictObject(processName),
    result: processStatus,
  },
  "process.stop": {
    summary:
      "Ends a process and all that came of it: asked (SIGINT), then SIGTERM, then SIGKILL. Answers when none is alive.",
    params: z.strictObject(processName),
    result: processStatus,
  },
  "process.restart": {
    summary: "Ends a process and starts it again.",
    params: z.strictObject(processName),
    result: processStatus,
  },
  "process.output": {
    summary:
      "What a process wrote to its terminal, as it wrote it: the last 512 K characters are kept. Lines, of earlier runs too, are `process.logged` events.",
    params: z.strictObject({
      ...processName,
      after: z.int().min(0).optional().describe("The cursor of an earlier answer, or of its screen."),
      waitMs: z
        .int()
        .min(0)
        .max(30_000)
        .optional()
        .describe("Where there is nothing after the cursor yet, waits for it so long."),
    }),
    result: z.object({
      text: z.string(),
      cursor: z.int().describe("Where to read on."),
      gap: z.boolean().describe("What came after `after` is gone in part: draw the screen anew."),
      columns: z.int().describe("The terminal's size now; where it changed, what waits is answered at once."),
      rows: z.int(),
    }),
  },
  "process.screen": {
    summary: "A process's terminal as it stands: text and escape sequences that draw it.",
    params: z.strictObject({
      ...processName,
      scrollback: z.int().min(0).max(1000).optional().describe("Lines above the screen, none where absent."),
    }),
    result: z.object({
      text: z.string(),
      columns: z.int(),
      rows: z.int(),
      cursor: z.int().describe("The place in the output that it shows, for `process.output`."),
    }),
  },
  "process.clear": {
    summary:
      "Empties a process's screen and what is kept above it, for all who look. Its lines in history stay; a program that has the whole screen is left alone.",
    params: z.strictObject(processName),
    result: z.object({}),
  },
  "process.write": {
    summary: "Types into a process's terminal.",
    params: z.strictObject({ ...processName, data: z.string().max(1024 * 1024) }),
    result: z.object({}),
  },
  "process.resize": {
    summary: "Gives a process's terminal another size: the last to ask has its way.",
    params: z.strictObject({
      ...processName,
      columns: z.int().min(1).max(1000),
      rows: z.int().min(1).max(1000),
    }),
    result: z.object({}),
  },
  "daemon.doctor": {
    summary: "What is wrong, as far as the daemon can tell, each with what mends it.",
    params: none,
    result: z.array(finding),
  },
  "invocation.list": {
    summary: "Invocations, newest first.",
    params: z.strictObject({
      functionName: z.string().optional(),
      status: z.array(invocationSummary.shape.status).optional().describe("Any of these."),
      minDurationMs: z.number().min(0).optional(),
      since: z.number().optional().describe("Received at or after; milliseconds since the epoch."),
      text: z
        .string()
        .min(1)
        .optional()
        .describe(
          "Stands in the event, the answer, a log line, the error message, the request id or the function name, as they are shown; without regard to case.",
        ),
      before: z.int().optional().describe("Only ids below this one: the next page."),
      limit: z.int().min(1).max(1000).optional(),
    }),
    result: z.array(invocationSummary),
  },
  "invocation.get": {
    summary: "One invocation whole: event, logs, answer.",
    params: z.strictObject({
      id: z.union([z.int(), z.string()]).describe("Its id, or a request id (the latest of it)."),
      reveal: z.boolean().optional().describe("Event and answer as they were, nothing redacted."),
    }),
    result: invocation,
  },
  "log.list": {
    summary:
      "What functions printed in the cloud, out of CloudWatch, oldest first: those with `dev: false`, and where the stage is not live all that hold their own code. Of more than `limit` the newest. A line may come some seconds after its time: ask again from a little earlier, and leave out the ids that were there.",
    params: z.strictObject({
      since: z.number().min(0).describe("Milliseconds since the epoch."),
      functionName: z.string().optional(),
      limit: z.int().min(1).max(10_000).optional(),
    }),
    result: z.object({
      lines: z.array(
        z.object({ id: z.string(), at: z.number(), functionName: z.string(), text: z.string() }),
      ),
    }),
  },
  "event.list": {
    summary: "Recorded events after a sequence number, oldest first.",
    params: z.strictObject({
      after: z.int().min(0).optional(),
      limit: z.int().min(1).max(10_000).optional(),
      ...filter,
    }),
    result: z.object({ cursor, events: z.array(recordedEvent) }),
  },
  "events.subscribe": {
    summary:
      "WebSocket only. Replays what was recorded after the cursor (nothing where it is absent), then follows, without gap or duplicate: `events.recorded` notifications, or one `events.reset`.",
    params: z.strictObject({ after: cursor.optional(), ...filter }),
    result: z.object({ subscription: z.string(), cursor }),
  },
  "events.unsubscribe": {
    summary: "Ends a subscription.",
    params: z.strictObject({ subscription: z.string() }),
    result: z.object({}),
  },
} as const satisfies Record<string, { summary: string; params: z.ZodType; result: z.ZodType }>;

/** Notifications from the daemon, on the WebSocket that subscribed. */
export const RPC_NOTIFICATIONS = {
  "events.recorded": z.object({
    subscription: z.string(),
    cursor: cursor.describe("After these events: where to resume."),
    events: z.array(recordedEvent),
  }),
  "events.reset": z.object({
    subscription: z.string(),
    reason: z
      .enum(["database", "pruned", "slow"])
      .describe(
        "Another database, a cursor that was pruned away, or a reader too slow; the subscription has ended.",
      ),
    cursor: cursor.describe("Where history begins now (or, for `slow`, where this subscription stopped)."),
  }),
} as const;

export type RpcMethod = keyof typeof RPC;
export type RpcParams<M extends RpcMethod> = z.input<(typeof RPC)[M]["params"]>;
export type RpcResult<M extends RpcMethod> = z.output<(typeof RPC)[M]["result"]>;
export type RpcNotification = keyof typeof RPC_NOTIFICATIONS;
export type RpcNotificationParams<N extends RpcNotification> = z.output<(typeof RPC_NOTIFICATIONS)[N]>;

export type FunctionStatus = z.output<typeof functionStatus>;
export type DaemonStatus = z.output<typeof status>;
export type ProcessStatus = z.output<typeof processStatus>;
export type StagePlan = z.output<(typeof RPC)["stage.plan"]["result"]>;
export type PlannedStep = z.output<typeof plannedStep>;
export type InvocationSummary = z.output<typeof invocationSummary>;
export type Finding = z.output<typeof finding>;
export type InvocationDetail = z.output<typeof invocation>;
