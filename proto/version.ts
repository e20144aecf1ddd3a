/**
 * The bridge's wire, stub to daemon. One history line per version.
 *
 * 1: hello, welcome, refuse, invoke, position, answer, stream.*, cancel, goodbye, ack.
 * 2: hello tells the sandbox's age.
 */
export const BRIDGE_PROTOCOL = 2;

/**
 * The control API's wire, client to daemon. One history line per version.
 *
 * 1: JSON-RPC 2.0 over HTTP and WebSocket on the control socket.
 */
export const RPC_PROTOCOL = 1;
