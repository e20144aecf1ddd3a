/** Where a connection goes: through the tunnel, nowhere, or its own way. IPv4, as a VPC's ranges are. Pure. */
import { isIPv4 } from "node:net";

export type Range = { readonly from: number; readonly bits: number };

/** `10.0.0.0/16`; undefined for what is none. */
export function parseRange(text: string): Range | undefined {
  const [, address = "", size = ""] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  const bits = Number(size);
  if (!isIPv4(address) || bits > 32) return undefined;
  return { from: (number(address) & mask(bits)) >>> 0, bits };
}

/** Those of the texts that are ranges. */
export const parseRanges = (texts: readonly string[]): Range[] =>
  texts.map(parseRange).filter((range): range is Range => range !== undefined);

export function inRange(address: string, { from, bits }: Range): boolean {
  return isIPv4(address) && (number(address) & mask(bits)) >>> 0 === from;
}

/** Of this machine, of one link only, of many at once: whoever asks for these means nothing behind the tunnel. */
const NEVER = parseRanges(["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"]);

export const isNever = (address: string): boolean =>
  !isIPv4(address) || NEVER.some((range) => inRange(address, range));

export const isPrivate = (address: string, ranges: readonly Range[]): boolean =>
  !isNever(address) && ranges.some((range) => inRange(address, range));

function mask(bits: number): number {
  return bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0;
}

function number(address: string): number {
  return address.split(".").reduce((sum, part) => ((sum << 8) | Number(part)) >>> 0, 0);
}

/** `*.internal` and `db.example`; without regard to case. */
export function isPrivateName(name: string, patterns: readonly string[]): boolean {
  const asked = name.toLowerCase().replace(/\.$/, "");
  return patterns.some((pattern) => {
    const wanted = pattern.toLowerCase();
    return wanted.startsWith("*.") ? asked.endsWith(wanted.slice(1)) : asked === wanted;
  });
}
