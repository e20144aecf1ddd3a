/**
 * The bridge's frames: what travels between a stub in Lambda and the daemon, as binary WebSocket messages.
 *
 *     | type u8 | seq u32 BE | header length u32 BE | header, JSON in UTF-8 | payload, bytes as they are |
 *
 * Payloads (events, answers, chunks) are never parsed on the way. `seq` counts from 1 in each direction of a
 * session (one sandbox and one daemon instance, over any number of connections); 0 marks the frames that are not
 * sequenced, because they make or keep the session itself: hello, welcome, refuse, ack. A sequenced frame is kept by
 * its sender until the peer's cumulative ack and sent again after a reconnect; the receiver drops what it has seen.
 *
 * The key of an invocation is its request id and the nonce that the stub draws at each `/next`: the same key again
 * is a resend and is never executed twice; the same request id with another nonce is Lambda's own retry.
 */

export type InvocationKey = {
  /** Lambda's request id. */
  readonly requestId: string;
  /** 16 random bytes in hex, drawn by the stub when `/next` returned. */
  readonly nonce: string;
};

/** The key as one text, for maps and sets. */
export const keyText = ({ requestId, nonce }: InvocationKey): string => `${requestId} ${nonce}`;

// ---- stub to daemon

export type Hello = {
  readonly type: "hello";
  readonly protocol: number;
  readonly app: string;
  readonly stage: string;
  /** The function's name in the config, not in AWS. */
  readonly functionName: string;
  /** Drawn once per execution environment; names the session over reconnects. */
  readonly sandbox: string;
  /** Milliseconds since this environment began, by its monotonic clock. Absent in version 1. */
  readonly ageMs?: number;
  /** The daemon instance that the stub last spoke to (`welcome.epoch`), null on the first connection. */
  readonly epoch: string | null;
  /** Highest seq received from that instance. */
  readonly received: number;
  /** HMAC-SHA256 by the stage's key over the TLS connection's exported keying material, in hex. */
  readonly proof: string;
  /** AWS's own variables of this execution environment (`AWS_*`, `_HANDLER`, `TZ` …), credentials among them. */
  readonly environment: Readonly<Record<string, string>>;
};

export type Invoke = {
  readonly type: "invoke";
  readonly key: InvocationKey;
  /** Milliseconds left when the frame was written; the receiver rebases it on its own monotonic clock. */
  readonly remainingMs: number;
  /** AWS's absolute deadline, milliseconds since the epoch. Shown; trusted only for the age of a frame read late. */
  readonly deadlineAt: number;
  readonly functionArn: string;
  readonly traceId?: string;
  /** As Lambda gives it: JSON text. */
  readonly clientContext?: string;
  readonly cognitoIdentity?: string;
};

/** The caller left, or the stub gave up: whatever still runs for this key may stop. */
export type Cancel = { readonly type: "cancel"; readonly key: InvocationKey; readonly reason: string };

// ---- daemon to stub

export type Welcome = {
  readonly type: "welcome";
  readonly protocol: number;
  /** This daemon instance. Another epoch than the stub knew means that the peer's seq starts at 1 again. */
  readonly epoch: string;
  /** Highest seq that this instance has from this sandbox; 0 where it has never seen it. */
  readonly received: number;
};

/** No session comes of this connection; the sentence goes to the caller. The connection closes behind it. */
export type Refuse = { readonly type: "refuse"; readonly code: string; readonly message: string };

/** Where an acked invocation stands. */
export type Position = {
  readonly type: "position";
  readonly key: InvocationKey;
  readonly state: "queued" | "building" | "running";
};

/** A whole answer; the payload is the body as the handler's runtime gave it. */
export type AnswerFrame = {
  readonly type: "answer";
  readonly key: InvocationKey;
  /** `error`: the payload is Lambda's `{ errorType, errorMessage, stackTrace }`. */
  readonly status: "ok" | "error";
  readonly contentType: string;
  readonly errorType?: string;
};

export type StreamStart = {
  readonly type: "stream.start";
  readonly key: InvocationKey;
  readonly contentType: string;
};
export type StreamChunk = { readonly type: "stream.chunk"; readonly key: InvocationKey };
/** The end of a stream; with `errorType` a mid-stream error, whose Lambda error body is the payload. */
export type StreamEnd = {
  readonly type: "stream.end";
  readonly key: InvocationKey;
  readonly errorType?: string;
};

/** The daemon leaves on purpose. `restarting`: it will be back within seconds. */
export type Goodbye = { readonly type: "goodbye"; readonly reason: "restarting" | "stopping" };

// ---- both ways

/** All frames up to and including this seq have arrived. Sent from the I/O path, at once. */
export type Ack = { readonly type: "ack"; readonly received: number };

export type UpFrame = Hello | Invoke | Cancel | Ack;
export type DownFrame =
  | Welcome
  | Refuse
  | Position
  | AnswerFrame
  | StreamStart
  | StreamChunk
  | StreamEnd
  | Goodbye
  | Ack;
export type Frame = UpFrame | DownFrame;
export type FrameType = Frame["type"];

/** The numbers on the wire. Append only. */
export const FRAME_CODES: Readonly<Record<FrameType, number>> = {
  hello: 1,
  welcome: 2,
  refuse: 3,
  ack: 4,
  invoke: 5,
  position: 6,
  answer: 7,
  "stream.start": 8,
  "stream.chunk": 9,
  "stream.end": 10,
  cancel: 11,
  goodbye: 12,
};

const TYPES = new Map<number, FrameType>(
  Object.entries(FRAME_CODES).map(([type, code]) => [code, type as FrameType]),
);

export type Decoded<F extends Frame = Frame> = {
  readonly seq: number;
  readonly frame: F;
  readonly payload: Uint8Array;
};

/** Bytes that are no frame of this protocol: the connection that carried them is closed. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

const FIXED = 9;
/** A header holds names and an environment of at most 4 KB (Lambda's limit); more is an attack or a bug. */
const MAX_HEADER = 256 * 1024;
const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

export function encodeFrame(seq: number, frame: Frame, payload: Uint8Array = EMPTY): Uint8Array {
  const { type, ...fields } = frame;
  const header = encoder.encode(JSON.stringify(fields));
  const bytes = new Uint8Array(FIXED + header.length + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, FRAME_CODES[type]);
  view.setUint32(1, seq);
  view.setUint32(5, header.length);
  bytes.set(header, FIXED);
  bytes.set(payload, FIXED + header.length);
  return bytes;
}

/** The payload is a view into `bytes`, not a copy. Throws FrameError. */
export function decodeFrame(bytes: Uint8Array): Decoded {
  if (bytes.length < FIXED) throw new FrameError(`a frame of ${bytes.length} bytes is too short`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = TYPES.get(view.getUint8(0));
  if (type === undefined) throw new FrameError(`unknown frame type ${view.getUint8(0)}`);
  const seq = view.getUint32(1);
  const headerLength = view.getUint32(5);
  if (headerLength > MAX_HEADER || FIXED + headerLength > bytes.length) {
    throw new FrameError(`a header of ${headerLength} bytes does not fit a frame of ${bytes.length}`);
  }
  let header: unknown;
  try {
    header = JSON.parse(decoder.decode(bytes.subarray(FIXED, FIXED + headerLength)));
  } catch {
    throw new FrameError(`the header of a ${type} frame is not JSON`);
  }
  if (!isRecord(header)) throw new FrameError(`the header of a ${type} frame is not an object`);
  const wrong = GUARDS[type](header);
  if (wrong !== undefined) throw new FrameError(`${type}.${wrong} is missing or of the wrong type`);
  if ((seq === 0) !== UNSEQUENCED.has(type)) throw new FrameError(`a ${type} frame with seq ${seq}`);
  return { seq, frame: { ...header, type } as Frame, payload: bytes.subarray(FIXED + headerLength) };
}

/** Frames that make or keep the session, and so carry seq 0. */
const UNSEQUENCED: ReadonlySet<FrameType> = new Set<FrameType>(["hello", "welcome", "refuse", "ack"]);

// ---- guards, by hand: a schema library would cost the stub's cold start

type Fields = Record<string, unknown>;
type Check = (value: unknown) => boolean;

const isRecord = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const text: Check = (value) => typeof value === "string";
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const finite: Check = (value) => Number.isFinite(value);
const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const oneOf =
  (...words: string[]): Check =>
  (value) =>
    typeof value === "string" && words.includes(value);
const invocationKey: Check = (value) => isRecord(value) && text(value["requestId"]) && text(value["nonce"]);
const texts: Check = (value) => isRecord(value) && Object.values(value).every(text);

/** Gives a guard that returns the name of the first field that is wrong. */
function fields(checks: Record<string, Check>): (header: Fields) => string | undefined {
  const entries = Object.entries(checks);
  return (header) => entries.find(([name, check]) => !check(header[name]))?.[0];
}

const GUARDS: Readonly<Record<FrameType, (header: Fields) => string | undefined>> = {
  hello: fields({
    protocol: count,
    app: text,
    stage: text,
    functionName: text,
    sandbox: text,
    ageMs: maybe((value) => finite(value) && (value as number) >= 0),
    epoch: (value) => value === null || text(value),
    received: count,
    proof: text,
    environment: texts,
  }),
  welcome: fields({ protocol: count, epoch: text, received: count }),
  refuse: fields({ code: text, message: text }),
  ack: fields({ received: count }),
  invoke: fields({
    key: invocationKey,
    remainingMs: finite,
    deadlineAt: finite,
    functionArn: text,
    traceId: maybe(text),
    clientContext: maybe(text),
    cognitoIdentity: maybe(text),
  }),
  position: fields({ key: invocationKey, state: oneOf("queued", "building", "running") }),
  answer: fields({
    key: invocationKey,
    status: oneOf("ok", "error"),
    contentType: text,
    errorType: maybe(text),
  }),
  "stream.start": fields({ key: invocationKey, contentType: text }),
  "stream.chunk": fields({ key: invocationKey }),
  "stream.end": fields({ key: invocationKey, errorType: maybe(text) }),
  cancel: fields({ key: invocationKey, reason: text }),
  goodbye: fields({ reason: oneOf("restarting", "stopping") }),
};
