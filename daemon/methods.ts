/** The control API's methods: each is one call on one part. */
import { RPC_PROTOCOL } from "../proto/version.ts";

import { urlsOf } from "./known.ts";
import type { Daemon } from "./daemon.ts";
import { diagnose, refused } from "./doctor.ts";
import {
  environmentDiffers,
  eventGone,
  eventNotJson,
  messageOf,
  protocolDiffers,
  stateNotOfStage,
  unknownInvocation,
} from "./lib/errors.ts";
import { VERSION } from "./lib/programs.ts";
import type { MethodTable } from "./rpc/methods.ts";

export function methods(daemon: Daemon): MethodTable {
  const { store } = daemon;
  return {
    async "daemon.hello"({ protocol, version, environment }) {
      if (protocol !== RPC_PROTOCOL) {
        throw protocolDiffers({ version: VERSION, protocol: RPC_PROTOCOL }, { version, protocol });
      }
      // Where nothing is asked of AWS, its profile does not matter.
      if (daemon.homeKind === "aws" && environment !== undefined) compareEnvironment(environment);
      return {
        protocol: RPC_PROTOCOL,
        version: VERSION,
        pid: process.pid,
        epoch: daemon.epoch,
        project: daemon.project,
        app: daemon.appName,
        stage: daemon.stage,
        database: store.databaseId,
      };
    },

    "daemon.status": () => daemon.status(),

    async "daemon.stop"({ restarting }, { afterAnswer }) {
      afterAnswer(() => daemon.stop("a client asked", restarting));
      return { pid: process.pid };
    },

    "debug.on": (params) => daemon.debugging.on(params),

    "debug.off": () => daemon.debugging.off(),

    "debug.status": async () => daemon.debugging.status,

    "tunnel.status": () => daemon.tunnelStatus(),

    "daemon.doctor": async () => [
      ...diagnose(daemon, await daemon.status(), await daemon.tunnelStatus()),
      ...refused(await daemon.refusals()),
    ],

    "stage.goLive": ({ yes, takeOver, newKey, processes }) =>
      daemon.goLive({
        ...(yes !== undefined && { yes }),
        ...(takeOver !== undefined && { takeOver }),
        ...(newKey !== undefined && { newKey }),
        ...(processes !== undefined && { processes }),
      }),

    async "stage.plan"({ dev }) {
      const { steps, commands, notes } = await daemon.plan({ dev: dev ?? false });
      return {
        steps: steps.map(({ changes, ...step }) => ({ ...step, changes: [...changes] })),
        commands: [...commands],
        notes: [...notes],
      };
    },

    async "stage.deploy"(_, { signal }) {
      const { steps, tookMs, known, outputs } = await daemon.deploy(signal);
      return { steps, tookMs, urls: urlsOf(known), outputs };
    },

    async "stage.remove"(_, { signal }) {
      const { kept, ...removed } = await daemon.remove(signal);
      return { ...removed, kept: [...kept] };
    },

    async "stage.exportState"() {
      const state = await daemon.state();
      return state === undefined ? null : { ...state, resources: [...state.resources] };
    },

    async "stage.importState"({ state }) {
      if (state.app !== daemon.appName || state.stage !== daemon.stage) {
        throw stateNotOfStage(daemon.appName, daemon.stage);
      }
      await daemon.importState(state);
      return {};
    },

    "secret.list": ({ reveal }) => daemon.listSecrets(reveal ?? false),

    async "secret.set"({ values, fallback }) {
      await daemon.setSecrets(values, fallback ?? false);
      return {};
    },

    async "secret.remove"({ name, fallback }) {
      return { removed: await daemon.removeSecret(name, fallback ?? false) };
    },

    async "environment.get"({ as, directory, reveal }) {
      const name = directory === undefined ? as : await daemon.processIn(directory);
      const { variables, unset, nodeOptions } = await daemon.runEnvironment(name, reveal ?? false);
      return {
        variables: { ...variables },
        unset: [...unset],
        ...(nodeOptions !== undefined && { nodeOptions }),
        ...(name !== undefined && { as: name }),
      };
    },

    async "function.list"() {
      await daemon.configRead();
      return daemon.functionStates();
    },

    async "function.invoke"({ functionName, event, type }, { signal }) {
      await daemon.runnable(functionName);
      const home = await daemon.openHome();
      const invoked = await home.deploy.invoke({
        functionName,
        event: Buffer.from(event),
        signal,
        ...(type !== undefined && { type }),
      });
      const { statusCode, requestId, functionError, payload } = invoked;
      return {
        statusCode,
        requestId,
        payload: Buffer.from(payload).toString(),
        ...(functionError !== undefined && { functionError }),
      };
    },

    "function.invokeLocal": ({ functionName, event }, { signal }) =>
      runLocally(daemon, { functionName, event: checked(event) }, signal),

    async "invocation.replay"({ id, event }, { signal }) {
      const found = await store.unseal(id);
      if (found === undefined) {
        throw (await store.invocation(id)) === undefined ? unknownInvocation(id) : eventGone(id);
      }
      const context = found.context === undefined ? {} : (JSON.parse(found.context) as ReplayContext);
      return runLocally(
        daemon,
        {
          functionName: found.functionName,
          event: event === undefined ? found.event : checked(event),
          replayOf: found.id,
          context,
        },
        signal,
      );
    },

    "process.list": ({ usage }) => daemon.processes.list({ usage: usage ?? false }),

    "process.start": async ({ name }) => daemon.processes.start(name),

    "process.stop": ({ name }) => daemon.processes.stop(name),

    "process.restart": async ({ name }) => daemon.processes.restart(name),

    "process.output": ({ name, after, waitMs }) => daemon.processes.output(name, after ?? 0, waitMs ?? 0),

    "process.screen": ({ name, scrollback }) => daemon.processes.screen(name, scrollback ?? 0),

    async "process.clear"({ name }) {
      await daemon.processes.clear(name);
      return {};
    },

    async "process.write"({ name, data }) {
      daemon.processes.write(name, data);
      return {};
    },

    async "process.resize"({ name, columns, rows }) {
      daemon.processes.resize(name, columns, rows);
      return {};
    },

    "invocation.list": (query, { signal }) => store.invocations(query, signal),

    async "invocation.get"({ id, reveal }) {
      const found = await store.invocation(id, { reveal: reveal ?? false });
      if (found === undefined) throw unknownInvocation(id);
      return found;
    },

    async "log.list"({ functionName, since, limit }) {
      const lines = await daemon.cloudLogs({
        since,
        limit: limit ?? 10_000,
        ...(functionName !== undefined && { functionName }),
      });
      return { lines };
    },

    async "event.list"({ after, limit, types, functionName }) {
      const { cursor, events } = await store.events({ after, limit, types, functionName });
      return { cursor, events: [...events] };
    },
  };
}

type ReplayContext = { traceId?: string; clientContext?: string; cognitoIdentity?: string };

async function runLocally(
  daemon: Daemon,
  local: { functionName: string; event: Uint8Array; replayOf?: number; context?: ReplayContext },
  signal: AbortSignal,
) {
  const { wanted, functionArn } = await daemon.runnable(local.functionName);
  const { traceId, clientContext, cognitoIdentity } = local.context ?? {};
  const { id, answer, durationMs } = await daemon.invocations.runLocally(
    {
      functionName: local.functionName,
      event: local.event,
      timeoutMs: wanted.timeoutMs,
      functionArn,
      environment: {},
      ...(local.replayOf !== undefined && { replayOf: local.replayOf }),
      context: {
        ...(traceId !== undefined && { traceId }),
        ...(clientContext !== undefined && { clientContext }),
        ...(cognitoIdentity !== undefined && { cognitoIdentity }),
      },
    },
    signal,
  );
  return {
    id,
    status: answer.status,
    payload: Buffer.from(answer.body).toString(),
    durationMs,
    ...(answer.errorType !== undefined && { errorType: answer.errorType }),
  };
}

/** As Lambda, which takes nothing but JSON; the bytes go on as they are. */
function checked(event: string): Uint8Array {
  try {
    JSON.parse(event);
  } catch (error) {
    throw eventNotJson(messageOf(error));
  }
  return Buffer.from(event);
}

/** Under another profile or region a client would see, and change, other things in AWS than it thinks. */
function compareEnvironment(client: Readonly<Record<string, string>>): void {
  if (Object.keys(client).length === 0) return;
  const differ = (name: string, ours: string | undefined, theirs: string | undefined) => {
    if ((ours ?? "") !== (theirs ?? "")) throw environmentDiffers(name, ours, theirs);
  };
  const { AWS_PROFILE, AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  differ("AWS_PROFILE", AWS_PROFILE, client["AWS_PROFILE"]);
  differ(
    "AWS_REGION",
    AWS_REGION ?? AWS_DEFAULT_REGION,
    client["AWS_REGION"] ?? client["AWS_DEFAULT_REGION"],
  );
}
