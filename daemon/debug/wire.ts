/** The Chrome DevTools Protocol as messages: what clients send, what an inspector answers and tells. */
import type { RawData } from "ws";

export type Params = { readonly [name: string]: unknown };

export type Request = { readonly id: number; readonly method: string; readonly params?: Params };

export type Reply = {
  readonly id: number;
  readonly result?: Params;
  readonly error?: { readonly code: number; readonly message: string };
};

export type Event = { readonly method: string; readonly params?: Params };

/** Undefined where it is none: a client that sends such a thing is not answered. */
export function asRequest(data: RawData): Request | undefined {
  let message: unknown;
  try {
    message = JSON.parse(textOf(data));
  } catch {
    return undefined;
  }
  if (typeof message !== "object" || message === null) return undefined;
  const { id, method, params } = message as Partial<Request>;
  if (typeof id !== "number" || typeof method !== "string") return undefined;
  return { id, method, ...(typeof params === "object" && params !== null && { params }) };
}

export function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString();
  return Buffer.from(data as Buffer).toString();
}

/** As V8 says it. */
export const failure = (id: number, message: string): Reply => ({ id, error: { code: -32_000, message } });
