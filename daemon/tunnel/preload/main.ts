/**
 * The hook in a Node program: connections into the VPC's ranges go through the daemon, all others their own way. It is
 * loaded before the program (`--require`), and the program is none the wiser: errors are the system's own, names are the
 * ones in its code, and TLS is checked against them.
 *
 *     connect(host, port) ─► a name? looked up as ever; what is not found here is asked of the daemon
 *                            an address in the ranges? the daemon opens it, and gives a port of loopback
 *                            ─► the original connect(), to that port
 *
 * A port, and not a Unix socket: Node's TLS asserts that what it connects is TCP.
 */
import dns, { type LookupAddress, type LookupOptions } from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import net, { type Socket } from "node:net";
import workers, { type WorkerOptions } from "node:worker_threads";

export type Installed = {
  /** The daemon's Unix socket. */
  readonly gate: string;
  /** `[from, bits]` of each range. */
  readonly ranges: readonly (readonly [number, number])[];
  /** `*.internal`, `db.example`: asked of the daemon first. */
  readonly names: readonly string[];
  /** What a worker thread is to load in turn. */
  readonly file: string;
};

type ConnectOptions = {
  host?: string | null;
  port?: number | string | null;
  path?: string | null;
  lookup?: typeof dns.lookup;
  family?: number;
  hints?: number;
};
type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address?: string | LookupAddress[],
  family?: number,
) => void;

const INSTALLED = Symbol.for("livedev.tunnel");

export function install(settings: Installed): void {
  const known = globalThis as { [INSTALLED]?: boolean };
  if (known[INSTALLED] === true) return;
  known[INSTALLED] = true;

  // oxlint-disable-next-line typescript/unbound-method -- called with the socket as its this
  const originalConnect = net.Socket.prototype.connect as (this: Socket, ...args: unknown[]) => Socket;
  const originalLookup = dns.lookup as unknown as (
    name: string,
    options: LookupOptions,
    callback: LookupCallback,
  ) => void;

  const inRanges = (address: string) => {
    if (!net.isIPv4(address)) return false;
    const number = address.split(".").reduce((sum, part) => ((sum << 8) | Number(part)) >>> 0, 0);
    return settings.ranges.some(
      ([from, bits]) => (bits === 0 ? 0 : (number & ((-1 << (32 - bits)) >>> 0)) >>> 0) === from,
    );
  };
  const isOurs = (name: string) => {
    const asked = name.toLowerCase().replace(/\.$/, "");
    return settings.names.some((wanted) =>
      wanted.startsWith("*.") ? asked.endsWith(wanted.slice(1)) : asked === wanted,
    );
  };

  // ---- the daemon

  function ask(
    question: object,
    answered: (error: NodeJS.ErrnoException | undefined, answer: Answer) => void,
  ): void {
    let said = "";
    let over = false;
    const done = (error: NodeJS.ErrnoException | undefined, answer: Answer = {}) => {
      if (over) return;
      over = true;
      answered(error, answer);
    };
    const socket = new net.Socket();
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => (said += text));
    socket.on("error", (error) => done(error));
    socket.on("close", () => {
      try {
        const answer = JSON.parse(said) as Answer;
        done(answer.error === undefined ? undefined : failed(answer.error), answer);
      } catch {
        done(failed({ code: "EHOSTUNREACH", message: "livedevd's tunnel gave no answer" }));
      }
    });
    originalConnect.call(socket, { path: settings.gate }, () => socket.end(`${JSON.stringify(question)}\n`));
  }

  // ---- names

  function find(
    name: string,
    options: LookupOptions,
    callback: LookupCallback,
    otherwise: NodeJS.ErrnoException,
  ): void {
    ask({ find: name }, (error, { addresses = [] }) => {
      const [first] = addresses;
      if (error !== undefined || first === undefined) return callback(otherwise);
      if (options.all === true)
        return callback(
          null,
          addresses.map((address) => ({ address, family: 4 })),
        );
      callback(null, first, 4);
    });
  }

  const notFound = (name: string): NodeJS.ErrnoException =>
    Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), {
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
      hostname: name,
    });

  const lookup = (name: string, given: unknown, maybe?: LookupCallback): void => {
    const callback = (typeof given === "function" ? given : maybe) as LookupCallback;
    const options: LookupOptions =
      typeof given === "number"
        ? { family: given }
        : typeof given === "object" && given !== null
          ? given
          : {};
    const six = options.family === 6 || options.family === "IPv6";
    if (typeof callback !== "function" || typeof name !== "string" || net.isIP(name) !== 0 || six)
      return originalLookup(name, options, callback);
    if (isOurs(name)) return find(name, options, callback, notFound(name));
    originalLookup(name, options, (error, address, family) => {
      if (error !== null && (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN") && name.includes("."))
        find(name, options, callback, error);
      else callback(error, address, family);
    });
  };
  // Libraries ask for its promise by util.promisify.
  for (const symbol of Object.getOwnPropertySymbols(dns.lookup))
    Object.defineProperty(lookup, symbol, {
      value: (name: string, options: LookupOptions = {}) =>
        new Promise((resolve, reject) =>
          lookup(name, options, (error, address, family) =>
            error === null ? resolve(options.all === true ? address : { address, family }) : reject(error),
          ),
        ),
    });
  Object.defineProperty(lookup, "name", { value: "lookup" });
  dns.lookup = lookup as unknown as typeof dns.lookup;
  dns.promises.lookup = ((name: string, options: LookupOptions | number = {}) =>
    new Promise((resolve, reject) =>
      lookup(name, options, (error, address, family) =>
        error === null
          ? resolve(typeof options === "object" && options.all === true ? address : { address, family })
          : reject(error),
      ),
    )) as unknown as typeof dns.promises.lookup;

  // ---- connections

  net.Socket.prototype.connect = function connect(this: Socket, ...args: unknown[]): Socket {
    const [options, callback] = normalized(args);
    const { host, port, path } = options;
    // Node's agents for HTTP set a path of null.
    if (path || !host || port === undefined || port === null || isLocal(host))
      return originalConnect.apply(this, args);
    if (net.isIP(host) !== 0) {
      if (!inRanges(host)) return originalConnect.apply(this, args);
      begin(this, callback);
      through(this, options, host);
      return this;
    }
    begin(this, callback);
    const direct = (given: object) => {
      if (this.destroyed) return;
      setConnecting(this, false);
      originalConnect.call(this, { ...options, ...given });
    };
    const asked = (options.lookup ?? dns.lookup) as unknown as (
      name: string,
      options: LookupOptions,
      callback: LookupCallback,
    ) => void;
    const { family, hints } = options;
    const how: LookupOptions = {
      all: true,
      ...(family !== undefined && { family }),
      ...(hints !== undefined && { hints }),
    };
    asked(host, how, (error, found, foundFamily) => {
      if (this.destroyed) return;
      const all: LookupAddress[] =
        error !== null || found === undefined
          ? []
          : typeof found === "string"
            ? [{ address: found, family: foundFamily ?? 4 }]
            : found;
      const inside = all.find(({ address }) => inRanges(address));
      if (inside !== undefined) return through(this, options, inside.address);
      // As it would have gone without us, with what was just found.
      direct({
        lookup: (_name: string, { all: every }: LookupOptions, callback: LookupCallback) => {
          const [first] = all;
          if (error !== null || first === undefined) callback(error ?? notFound(host));
          else if (every === true) callback(null, all);
          else callback(null, first.address, first.family);
        },
      });
    });
    return this;
  };

  /** What is written meanwhile waits, as for any connection that is being made. */
  function begin(socket: Socket, callback: (() => void) | undefined): void {
    if (callback !== undefined) socket.once("connect", callback);
    setConnecting(socket, true);
  }

  function through(socket: Socket, options: ConnectOptions, address: string): void {
    const { port } = options;
    const host = options.host ?? address;
    ask({ open: address, port: Number(port) }, (error, { port: door }) => {
      if (socket.destroyed) return;
      if (error !== undefined || door === undefined) {
        const code = error?.code ?? "EHOSTUNREACH";
        setConnecting(socket, false);
        socket.destroy(
          Object.assign(new Error(`connect ${code} ${address}:${port}`), {
            code,
            syscall: "connect",
            address,
            port: Number(port),
            ...(error !== undefined && { cause: error }),
          }),
        );
        return;
      }
      setConnecting(socket, false);
      const { lookup: _lookup, ...rest } = options;
      originalConnect.call(socket, {
        ...rest,
        host: "127.0.0.1",
        port: door,
        family: 4,
        autoSelectFamily: false,
      });
      // As a program would see it that were there.
      Object.defineProperties(socket, {
        remoteAddress: { value: address, configurable: true },
        remotePort: { value: Number(port), configurable: true },
        _host: { value: host, configurable: true, writable: true },
      });
    });
  }

  // ---- threads

  // A thread does not take over what was loaded into a process that stood before anybody knew what it would run.
  const Original = workers.Worker;
  workers.Worker = class Worker extends Original {
    constructor(file: string | URL, options: WorkerOptions = {}) {
      super(file, {
        ...options,
        execArgv: [...(options.execArgv ?? process.execArgv), "--require", settings.file],
      });
    }
  };
  syncBuiltinESMExports();
}

type Answer = {
  readonly addresses?: readonly string[];
  readonly port?: number;
  readonly error?: { readonly code: string; readonly message: string };
};

const failed = ({ code, message }: { code: string; message: string }): NodeJS.ErrnoException =>
  Object.assign(new Error(message), { code });

/** As Node's own connect() does it. */
const setConnecting = (socket: Socket, connecting: boolean): void => {
  (socket as { -readonly [K in keyof Socket]: Socket[K] }).connecting = connecting;
};

const isLocal = (host: string) =>
  host === "" ||
  host === "localhost" ||
  host === "::1" ||
  host.startsWith("127.") ||
  host.endsWith(".localhost");

/** The ways in which connect() may be called; Node itself hands over an array. */
function normalized(args: readonly unknown[]): [ConnectOptions, (() => void) | undefined] {
  const [first, second, third] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  const callback = [first, second, third].find((one) => typeof one === "function") as
    | (() => void)
    | undefined;
  if (typeof first === "object" && first !== null) return [first, callback];
  const port = Number(first);
  if (typeof first === "string" && !Number.isInteger(port)) return [{ path: first }, callback];
  return [{ port, ...(typeof second === "string" && { host: second }) }, callback];
}
