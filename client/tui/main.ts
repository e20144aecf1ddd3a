/**
 * Entry of dist/tui.js, which the CLI loads only for this: the multiplexer from the first byte to the last. Before the
 * terminal is taken errors are thrown, as everywhere; afterwards they are shown in it, or end it with the terminal
 * given back.
 */
import type { LivedevClient } from "../client.ts";
import { connect } from "../connect.ts";
import { editJson } from "../editor.ts";
import type { Multiplexer, MultiplexerEnd } from "../multiplexer.ts";
import { App } from "./app.ts";
import { keysFile, loadKeymap } from "./keymap.ts";
import { BEFORE_US, EVENT_TYPES, System } from "./system.ts";
import { Terminal } from "./terminal.ts";

/** Events, of any kind: reading them is a moment's work of the daemon's reader. */
const LOOK_BACK = 5_000;

export const multiplexer: Multiplexer = async (options) => {
  const keymap = loadKeymap();
  const place = { project: options.project, stage: options.stage };
  let system: System | undefined;
  await using client = await connect({
    ...place,
    onOtherVersion: options.onOtherVersion,
    onConnection: (state) => system?.connection(state),
  });
  const ended = deferred<MultiplexerEnd>();
  const ending = new AbortController();
  let lent = false;
  const end = (how: MultiplexerEnd) => {
    ending.abort();
    ended.resolve(how);
  };
  const terminal = new Terminal({
    onInput: (input) => app.input(input),
    onResize: () => app.returned(),
    onReturn: () => app.returned(),
    onGone: () => end({ is: "interrupted" }),
  });
  system = new System({
    client,
    changed: () => app.changed(),
    onInvocation: (event) => app.invocation(event),
    onConfigLoaded: () => app.configLoaded(),
    onReset: () => app.reset(),
  });
  const app = new App({
    system,
    terminal,
    keymap,
    keysFile: keysFile(),
    yes: options.yes,
    takeOver: options.takeOver,
    stopAtQuit: options.stopAtQuit,
    goLive: async (agreed) => {
      await client.call("stage.goLive", agreed, { signal: ending.signal });
    },
    openDaemon: async () => {
      // Opened by another client: ours finds it by itself.
      await using _opener = await connect({ ...place, signal: ending.signal });
    },
    edit: async (text, again) => {
      lent = true;
      try {
        return await terminal.lend(() =>
          // A question between two runs of the editor is asked on our own screen.
          editJson(text, { signal: ending.signal, again: (wrong) => terminal.borrow(() => again(wrong)) }),
        );
      } finally {
        lent = false;
      }
    },
    quit: (how) => end({ is: how }),
    crashed: (error) => ended.reject(error),
  });
  const interrupt = (signal: NodeJS.Signals) => {
    // Ctrl-C in the user's editor is meant for the editor, and reaches all that share its terminal.
    if (!lent || signal !== "SIGINT") end({ is: "interrupted" });
  };
  const crashed = (error: unknown) => ended.reject(error);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, interrupt);
  process.on("uncaughtException", crashed);
  process.on("unhandledRejection", crashed);
  try {
    await terminal.take();
    void client.closed.then((error) => error !== undefined && ended.reject(error));
    await follow(client, system, () => app.reset());
    system.refresh();
    app.reset();
    app.changed();
    app.goLive();
    return await ended.promise;
  } finally {
    app.close();
    system.close();
    terminal.giveBack();
    for (const signal of signals) process.off(signal, interrupt);
    process.off("uncaughtException", crashed);
    process.off("unhandledRejection", crashed);
  }
};

/** From some way back: the last deployment, and what went wrong last, were before us. */
async function follow(client: LivedevClient, system: System, reset: () => void): Promise<void> {
  // No type fits, so that it costs nothing: it says where history ends now.
  const { cursor } = await client.call("event.list", { types: [], limit: 1 });
  const after = Math.max(0, cursor.seq - LOOK_BACK);
  const { events } = await client.call("event.list", { types: [...BEFORE_US], after, limit: LOOK_BACK });
  system.take(events.filter(({ seq }) => seq <= cursor.seq));
  await client.subscribe({ types: EVENT_TYPES, after: cursor }, (events) => system.take(events), reset);
}

function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
