/** The multiplexer, as the CLI sees it: a bundle of its own, since no other command needs what is in it. */
import { pathToFileURL } from "node:url";

import type { ConnectOptions } from "./connect.ts";
import { asLivedevError } from "./errors.ts";
import { MULTIPLEXER_PROGRAM } from "./programs.ts";

export type MultiplexerOptions = {
  readonly project?: string;
  readonly stage?: string;
  readonly onOtherVersion?: ConnectOptions["onOtherVersion"];
  /** The user has agreed that stubs replace deployed code. */
  readonly yes: boolean;
  readonly takeOver: boolean;
  /** The daemon ends with it, and nobody is asked. */
  readonly stopAtQuit: boolean;
};

/** `stop`: the daemon shall end, which is still to be done. */
export type MultiplexerEnd = { readonly is: "leave" | "stop" | "interrupted" };

export type Multiplexer = (options: MultiplexerOptions) => Promise<MultiplexerEnd>;

export async function multiplex(options: MultiplexerOptions): Promise<MultiplexerEnd> {
  const program = (await import(pathToFileURL(MULTIPLEXER_PROGRAM).href)) as {
    readonly multiplexer: Multiplexer;
  };
  try {
    return await program.multiplexer(options);
  } catch (error) {
    // The bundle has classes of its own.
    throw asLivedevError(error);
  }
}
