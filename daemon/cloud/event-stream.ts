/**
 * A message of `application/vnd.amazon.eventstream`:
 *
 *     | total length u32 | headers length u32 | CRC of these u32 | headers | payload | CRC of all before u32 |
 *
 * @see https://smithy.io/2.0/aws/amazon-eventstream.html
 */
import { crc32 } from "node:zlib";

const STRING = 7;

export function eventStreamMessage(
  eventType: string,
  payload: Uint8Array,
  contentType = "application/octet-stream",
): Uint8Array {
  const headers = Buffer.concat([
    header(":event-type", eventType),
    header(":content-type", contentType),
    header(":message-type", "event"),
  ]);
  const total = 12 + headers.length + payload.length + 4;
  const message = Buffer.alloc(total);
  message.writeUInt32BE(total, 0);
  message.writeUInt32BE(headers.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  headers.copy(message, 12);
  message.set(payload, 12 + headers.length);
  message.writeUInt32BE(crc32(message.subarray(0, total - 4)), total - 4);
  return message;
}

function header(name: string, value: string): Buffer {
  const text = Buffer.from(value);
  const bytes = Buffer.alloc(1 + name.length + 1 + 2 + text.length);
  bytes.writeUInt8(name.length, 0);
  bytes.write(name, 1, "ascii");
  bytes.writeUInt8(STRING, 1 + name.length);
  bytes.writeUInt16BE(text.length, 2 + name.length);
  text.copy(bytes, 4 + name.length);
  return bytes;
}
