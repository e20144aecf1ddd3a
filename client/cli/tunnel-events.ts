/** What became of the tunnel, as lines for people. */
import type { LivedevEvent } from "../../proto/events.ts";
import { inert, paint } from "./output.ts";

export const TUNNEL_EVENTS = [
  "tunnel.connected",
  "tunnel.lost",
  "tunnel.failed",
  "tunnel.portTaken",
] as const satisfies readonly LivedevEvent["type"][];

export type TunnelEvent = Extract<LivedevEvent, { type: (typeof TUNNEL_EVENTS)[number] }>;

export const isTunnelEvent = (event: LivedevEvent): event is TunnelEvent =>
  (TUNNEL_EVENTS as readonly string[]).includes(event.type);

export function tunnelLines(event: TunnelEvent): string[] {
  switch (event.type) {
    case "tunnel.connected": {
      const where = event.address === undefined ? "" : `; stubs reach it at ${event.address}`;
      const up = `the tunnel to ${event.host} is ${paint("green", "up")}${where}`;
      return [up, ...(event.problem === undefined ? [] : [paint("red", inert(event.problem))])];
    }
    case "tunnel.lost":
      return [paint("yellow", `the tunnel to ${event.host} is lost: ${inert(event.reason)}`)];
    case "tunnel.failed":
      return [paint("red", inert(event.message))];
    case "tunnel.portTaken":
      return [paint("yellow", `${event.name}'s port ${event.port} is taken by ${inert(event.by)}`)];
    default:
      return event satisfies never;
  }
}
