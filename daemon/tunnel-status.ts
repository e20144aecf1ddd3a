/** The tunnel as clients are shown it. Pure. */
import type { RpcResult } from "../proto/rpc.ts";

import type { CarrierStatus } from "./tunnel/tunnel.ts";

export function tunnelStatus(host: string, status: CarrierStatus | undefined): RpcResult<"tunnel.status"> {
  if (status === undefined || status.state === "off") return { state: "off" };
  const { state, wayIn, wayInProblem, ports, since, native, connects, inward, outward } = status;
  const { problem, retryAt, cipher, socks } = status;
  return {
    state,
    host,
    since,
    native,
    connects,
    inward,
    outward,
    ports: [...ports],
    ...(problem !== undefined && { problem }),
    ...(retryAt !== undefined && { retryAt }),
    ...(cipher !== undefined && { cipher }),
    ...(socks !== undefined && { socks }),
    ...(wayIn !== undefined && { address: `${wayIn.address}:${wayIn.port}` }),
    ...(wayInProblem !== undefined && { addressProblem: wayInProblem }),
  };
}
