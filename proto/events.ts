/**
 * What happened, recorded once in history, where any number may watch. Names are `noun.pastTense`. Nothing in the
 * daemon acts because of an event. An event holds no payload and no secret: payloads stand sealed in history's own
 * columns.
 */
import type { FailureCause } from "./answer.ts";

export type LivedevEvent =
  // the daemon
  | {
      readonly type: "daemon.started";
      readonly epoch: string;
      readonly version: string;
      readonly pid: number;
    }
  | { readonly type: "daemon.stopped"; readonly epoch: string; readonly reason: string }
  | { readonly type: "config.loaded"; readonly tookMs: number; readonly functions: readonly string[] }
  | {
      readonly type: "config.failed";
      readonly message: string;
      readonly file?: string;
      readonly line?: number;
    }
  // builds and workers
  | {
      readonly type: "build.finished";
      readonly functionName: string;
      /** SHA-256 of the bundle, hex, first 16 digits: the same as in the rows of the invocations that ran it. */
      readonly codeHash: string;
      readonly tookMs: number;
      /** From the change seen on disk to the bundle; absent for a first build. */
      readonly sinceSaveMs?: number;
      readonly bytes: number;
    }
  | { readonly type: "build.failed"; readonly functionName: string; readonly errors: readonly BuildError[] }
  | {
      readonly type: "worker.started";
      readonly functionName: string;
      readonly pid: number;
      readonly codeHash: string;
    }
  | {
      /** A worker that nobody waited for has loaded new code. */
      readonly type: "worker.ready";
      readonly functionName: string;
      readonly pid: number;
      readonly codeHash: string;
      /** From the change seen on disk to now; absent where no change was the reason. */
      readonly sinceSaveMs?: number;
    }
  | {
      readonly type: "worker.exited";
      readonly functionName: string;
      readonly pid: number;
      readonly code: number | null;
      readonly signal: string | null;
      /** `idle`, `replaced`, `crashed`, `stopped` (deadline, cancel), `closed`. */
      readonly reason: string;
    }
  | {
      /** A line printed outside any invocation: init code, or after the answer. */
      readonly type: "function.logged";
      readonly functionName: string;
      readonly stream: "stdout" | "stderr";
      readonly text: string;
    }
  // frontends, services, commands
  | { readonly type: "process.started"; readonly processName: string; readonly pid: number }
  | {
      readonly type: "process.ready";
      readonly processName: string;
      readonly url?: string;
      /** From its start. */
      readonly tookMs: number;
    }
  | {
      /** It waits: for a process that it links to, for a port that somebody else has. */
      readonly type: "process.waiting";
      readonly processName: string;
      readonly why: string;
    }
  | {
      /** Lines that it wrote to its terminal, with their colours and without its other escape sequences. */
      readonly type: "process.logged";
      readonly processName: string;
      readonly lines: readonly string[];
    }
  | {
      readonly type: "process.exited";
      readonly processName: string;
      /** Absent where it could not be started. */
      readonly pid?: number;
      /** `stopped`, `restarted` (by wish, or since its environment changed), `crashed`, `ended` (by itself, with 0). */
      readonly reason: "stopped" | "restarted" | "crashed" | "ended";
      /** Of `restarted`: what of it changed, or that somebody asked. */
      readonly how: string;
      /** When it is started again. */
      readonly retryInMs?: number;
      /** Of its processes, how many the system did not let go of. */
      readonly survivors: number;
    }
  // stubs
  | {
      readonly type: "sandbox.connected";
      readonly functionName: string;
      readonly sandbox: string;
      readonly resumed: boolean;
    }
  | {
      readonly type: "sandbox.disconnected";
      readonly functionName: string;
      readonly sandbox: string;
      readonly reason: string;
    }
  // invocations: `id` is the seq of the invocation's own `invocation.received`
  | {
      readonly type: "invocation.received";
      readonly functionName: string;
      readonly requestId: string;
      readonly nonce: string;
      readonly bytes: number;
      /** The invocation that Lambda retries with this one. */
      readonly retryOf?: number;
      /** The invocation whose event a client runs again. */
      readonly replayOf?: number;
      /** Run by a client on this machine alone, without AWS. */
      readonly local?: boolean;
    }
  | {
      readonly type: "invocation.begun";
      readonly id: number;
      readonly functionName: string;
      readonly requestId: string;
      readonly codeHash: string;
      readonly coldStart: boolean;
    }
  | {
      readonly type: "invocation.logged";
      readonly id: number;
      readonly functionName: string;
      readonly requestId: string;
      readonly stream: "stdout" | "stderr";
      readonly text: string;
    }
  | {
      readonly type: "invocation.answered";
      readonly id: number;
      readonly functionName: string;
      readonly requestId: string;
      readonly status: "ok" | "error";
      readonly cause?: FailureCause;
      readonly errorType?: string;
      readonly errorMessage?: string;
      readonly durationMs: number;
      readonly bytes: number;
    }
  | {
      /** The stub has acked the answer; only now does history say `ok`. */
      readonly type: "invocation.delivered";
      readonly id: number;
      readonly functionName: string;
      readonly requestId: string;
    }
  | {
      readonly type: "invocation.undelivered";
      readonly id: number;
      readonly functionName: string;
      readonly requestId: string;
      readonly reason: string;
    }
  // the tunnel
  | {
      readonly type: "tunnel.connected";
      readonly host: string;
      readonly tookMs: number;
      readonly cipher: string;
      /** By ssh2's compiled ciphers, rather than Node's. */
      readonly native: boolean;
      /** Where stubs reach us, tried from the bastion's side. */
      readonly address?: string;
      /** Why they do not. */
      readonly problem?: string;
    }
  | { readonly type: "tunnel.lost"; readonly host: string; readonly reason: string }
  /** Told once for each reason; it is tried again by itself. */
  | {
      readonly type: "tunnel.failed";
      readonly host: string;
      readonly message: string;
      readonly hint?: string;
    }
  /** A local port that leads through the tunnel is somebody else's now. */
  | { readonly type: "tunnel.portTaken"; readonly name: string; readonly port: number; readonly by: string }
  // deployment
  | {
      readonly type: "deploy.started";
      readonly steps: number;
      /** In no order: what does not wait for another goes on at once. */
      readonly plan?: readonly { readonly step: string; readonly resource: string }[];
    }
  | {
      readonly type: "deploy.stepped";
      readonly step: string;
      readonly resource: string;
      readonly tookMs: number;
    }
  | {
      readonly type: "deploy.finished";
      readonly tookMs: number;
      readonly urls: Readonly<Record<string, string>>;
    }
  // secrets, by name alone
  | {
      readonly type: "secret.changed";
      readonly names: readonly string[];
      /** Of the app's fallback, which counts where a stage has no value of its own. */
      readonly fallback: boolean;
      readonly how: "set" | "removed";
    }
  /** Another daemon has taken the stage over, or its lease could not be renewed. */
  | { readonly type: "stage.lost"; readonly message: string }
  | { readonly type: "deploy.failed"; readonly step?: string; readonly message: string };

/** An event as history gives it back. */
export type RecordedEvent = {
  /** Strictly rising within one database, never reused. */
  readonly seq: number;
  /** Wall clock, milliseconds since the epoch; order is by seq. */
  readonly at: number;
  readonly event: LivedevEvent;
};

/** A place in history. Another database id, or a seq that was pruned away, is answered with a typed reset. */
export type Cursor = { readonly database: string; readonly seq: number };

/** Positions are 1-based lines, 0-based columns, as esbuild has them. */
export type BuildError = {
  readonly text: string;
  /** Relative to the project. */
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  readonly lineText?: string;
};
