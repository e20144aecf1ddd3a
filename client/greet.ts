/** The first call of a connection: are daemon and client of one protocol, one AWS profile, one Node? */
import type { RpcResult } from "../proto/rpc.ts";
import { RPC_PROTOCOL } from "../proto/version.ts";

import { Connection } from "./connection.ts";
import { checkSocketDirectory, type Place } from "./discovery.ts";
import { daemonUnresponsive, LivedevError, protocolDiffers } from "./errors.ts";
import { VERSION } from "./programs.ts";

export type Hello = RpcResult<"daemon.hello">;
export type Greeted = { readonly connection: Connection; readonly hello: Hello };

const HELLO_SECONDS = 10;
const COMPARED = ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "PATH"];

/** What `daemon.hello` compares. A client that changes nothing in AWS passes `{}`, and is never refused for it. */
export function ourEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return Object.fromEntries(
    COMPARED.flatMap((name): [string, string][] => {
      const value = env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

/** `undefined`: nobody listens there. */
export async function greet(
  place: Place,
  environment: Record<string, string>,
  signal?: AbortSignal,
): Promise<Greeted | undefined> {
  if (!checkSocketDirectory(place.socket)) return undefined;
  const connection = await Connection.open(place.socket);
  if (connection === undefined) return undefined;
  try {
    const params = { protocol: RPC_PROTOCOL, version: VERSION, environment, node: process.version };
    const hello = await within(HELLO_SECONDS, connection.call("daemon.hello", params, signal));
    if (hello.protocol !== RPC_PROTOCOL) {
      throw protocolDiffers(hello, { version: VERSION, protocol: RPC_PROTOCOL });
    }
    return { connection, hello };
  } catch (error) {
    await connection.close();
    // It closed while we greeted it: as good as nobody there.
    if (error instanceof LivedevError && error.code === "connection.lost") return undefined;
    throw error;
  }
}

async function within<T>(seconds: number, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(daemonUnresponsive(seconds)), seconds * 1_000);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
