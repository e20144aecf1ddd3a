/**
 * Node's inspector in a process, opened only when it is asked for. Under `--inspect-publish-uid=stderr` (INSPECTABLE)
 * Node tells its address there and nowhere else: without it, whoever can reach the port is told too, every user of the
 * machine. What Node prints of it is not the function's output, and the address is a secret: it reaches no history.
 */
import { deferred, type Deferred } from "../lib/scope.ts";

/** For the command line of a process that may be inspected. It opens nothing. */
export const INSPECTABLE = "--inspect-publish-uid=stderr";

const LISTENING = /^Debugger listening on (ws:\/\/127\.0\.0\.1:\d+\/[0-9a-f-]{36})$/;
const OF_NODE =
  /^(?:Debugger (?:listening|ending) on ws:\/\/.*|For help, see: https:\/\/nodejs\.org\/.*|Debugger attached\.|Waiting for the debugger to disconnect\.\.\.)$/;

export class Inspector {
  #address: Deferred<string | undefined> | undefined;

  asked(): Promise<string | undefined> {
    this.#address ??= deferred();
    return this.#address.promise;
  }

  /** The lines that are not Node's about its inspector. */
  without(texts: readonly string[]): readonly string[] {
    if (this.#address === undefined) return texts;
    return texts.filter((text) => {
      if (!OF_NODE.test(text)) return true;
      const [, address] = LISTENING.exec(text) ?? [];
      if (address !== undefined) this.#address?.resolve(address);
      return false;
    });
  }

  ended(): void {
    this.#address?.resolve(undefined);
  }
}
