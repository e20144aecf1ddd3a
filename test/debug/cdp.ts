/** A client of the Chrome DevTools Protocol, as plain as can be: requests, and events to wait for. */
import { WebSocket } from "ws";

// oxlint-disable-next-line typescript/no-explicit-any -- whatever the protocol says
export type Params = Record<string, any>;

export type Listed = {
  readonly id: string;
  readonly title: string;
  readonly type: string;
  readonly webSocketDebuggerUrl: string;
};

type Waiting = {
  readonly method: string;
  readonly fits: (params: Params) => boolean;
  resolve(p: Params): void;
};

export class Cdp {
  readonly url: string;
  readonly #socket: WebSocket;
  readonly #replies = new Map<number, { resolve(result: Params): void; reject(error: Error): void }>();
  readonly #events: { readonly method: string; readonly params: Params }[] = [];
  readonly #waiting: Waiting[] = [];
  #ids = 0;
  closed = false;

  static async open(url: string): Promise<Cdp> {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return new Cdp(socket, url);
  }

  /** The function's target, as `/json/list` names it; where it is not listed yet, asked again. */
  static async ofFunction(port: number, title: string): Promise<Cdp> {
    const listed = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as Listed[];
    const found = listed.find((target) => target.title === title);
    if (found === undefined) throw new Error(`${title} is not among ${JSON.stringify(listed)}`);
    return Cdp.open(found.webSocketDebuggerUrl);
  }

  private constructor(socket: WebSocket, url: string) {
    this.url = url;
    this.#socket = socket;
    socket.on("message", (data) => this.#take(JSON.parse((data as Buffer).toString())));
    socket.once("close", () => (this.closed = true));
  }

  send(method: string, params: Params = {}): Promise<Params> {
    this.#ids += 1;
    const id = this.#ids;
    return new Promise((resolve, reject) => {
      this.#replies.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  /** The next event of this kind that nobody took yet, past or to come. */
  next(method: string, fits: (params: Params) => boolean = () => true): Promise<Params> {
    const at = this.#events.findIndex((event) => event.method === method && fits(event.params));
    const [event] = at < 0 ? [] : this.#events.splice(at, 1);
    if (event !== undefined) return Promise.resolve(event.params);
    return new Promise((resolve) => this.#waiting.push({ method, fits, resolve }));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      if (this.closed) return resolve();
      this.#socket.once("close", () => resolve());
      this.#socket.close();
    });
  }

  #take(message: { id?: number; result?: Params; error?: Params; method?: string; params?: Params }): void {
    const { id, result = {}, error, method = "", params = {} } = message;
    if (id !== undefined) {
      const reply = this.#replies.get(id);
      this.#replies.delete(id);
      if (error === undefined) reply?.resolve(result);
      else reply?.reject(new Error(error["message"]));
      return;
    }
    const at = this.#waiting.findIndex((one) => one.method === method && one.fits(params));
    const [waiting] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (waiting === undefined) this.#events.push({ method, params });
    else waiting.resolve(params);
  }
}
