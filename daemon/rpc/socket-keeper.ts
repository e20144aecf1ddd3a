/**
 * Clean-up programs delete old files in temporary directories, sockets among them; a daemon that lost its socket's
 * file would run on unseen. Looks for the file from time to time and listens again where it is gone. Connections that
 * stand are not touched.
 */
import type { Server } from "node:net";

import { exists } from "../lib/file-gone.ts";
import type { Log } from "../lib/log.ts";
import { nextLook } from "../lib/looks.ts";
import { Scope } from "../lib/scope.ts";

import { checkSocketDirectory, listen } from "./socket.ts";

export class SocketKeeper implements AsyncDisposable {
  readonly #scope = new Scope();

  private constructor(server: Server, path: string, log: Log, everyMs: number) {
    const running = this.#run(server, path, log, everyMs);
    this.#scope.defer(() => running);
  }

  static open(options: { server: Server; path: string; log: Log; everyMs: number }): SocketKeeper {
    return new SocketKeeper(options.server, options.path, options.log, options.everyMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  async #run(server: Server, path: string, log: Log, everyMs: number): Promise<void> {
    const { signal } = this.#scope;
    while (await nextLook(signal, everyMs)) {
      if (await exists(path)) continue;
      try {
        await checkSocketDirectory(path);
        if (signal.aborted) return;
        // Closing takes the listener alone; http.Server.close would end idle connections as well, to no harm.
        server.close();
        await listen(server, path);
        log.warn({ path }, "the control socket's file was gone; made again");
      } catch (error) {
        log.error({ err: error, path }, "the control socket's file is gone and cannot be made again");
      }
    }
  }
}
