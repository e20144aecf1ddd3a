/**
 * `NODE_OPTIONS=--inspect livedevd start` asks to debug functions. Node takes it for each of its programs: the command,
 * which opens the port at once, and the daemon, which would be debugged itself. Both let it go; the daemon is asked by
 * other means.
 */
import { close } from "node:inspector";

/** With its port, where one is named: `--inspect`, `--inspect-brk=9230`, `--inspect=127.0.0.1:9230`. */
const OPTION = /(^|\s)--inspect(?:-brk|-wait)?(?:=(?:[^\s:]*:)?(?<port>\d+))?(?=\s|$)/g;

/** Undefined where nothing asks for it; `{}` where the port is left to us. */
export function inspectOfNode(env: NodeJS.ProcessEnv = process.env): { readonly port?: number } | undefined {
  const [found] = (env["NODE_OPTIONS"] ?? "").matchAll(OPTION);
  if (found === undefined) return undefined;
  close();
  const port = found.groups?.["port"];
  return port === undefined ? {} : { port: Number(port) };
}

/** For the daemon's process. */
export function notInspected(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const options = env["NODE_OPTIONS"];
  return options === undefined ? env : { ...env, NODE_OPTIONS: options.replaceAll(OPTION, "").trim() };
}
