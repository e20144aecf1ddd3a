/** What a tunnel service is: it ends TLS, and passes what it reads on to a port of this machine. It keeps all it reads. */
import { execFileSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { createServer, type TLSSocket } from "node:tls";

export class TlsService extends EventEmitter {
  /** A file: whose certificate vouches for it. */
  readonly certificate: string;
  /** Where it leads to. */
  readonly port: number;
  readonly read: Buffer[] = [];
  connections = 0;
  readonly #server;
  readonly #sockets = new Set<TLSSocket | Socket>();
  #left = Infinity;

  private constructor(folder: string, port: number) {
    super();
    this.port = port;
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const made = ["req", "-x509", ...curve, "-keyout", key, "-out", certificate, ...subject];
    execFileSync("openssl", made, { stdio: "ignore" });
    this.certificate = certificate;
    const options = { key: readFileSync(key), cert: readFileSync(certificate) };
    this.#server = createServer(options, (near) => this.#carry(near));
    this.#server.on("connection", () => this.emit("connection")).on("tlsClientError", () => {});
  }

  static async open(folder: string, port: number): Promise<TlsService> {
    const service = new TlsService(folder, port);
    service.#server.listen(0, "localhost");
    await once(service.#server, "listening");
    return service;
  }

  get address(): string {
    return `wss://localhost:${(this.#server.address() as AddressInfo).port}/of/mine?a=1`;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** When so many more pieces have passed; the last of them is lost. */
  cutAfter(pieces: number): void {
    this.#left = pieces;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  #carry(near: TLSSocket): void {
    this.connections += 1;
    const far = connect({ port: this.port, host: "127.0.0.1", noDelay: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    far.removeAllListeners("close");
    far.once("error", () => near.end("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"));
    far.once("connect", () => {
      far.once("close", () => near.destroy());
      this.#pass(near, far);
      this.#pass(far, near);
    });
  }

  #pass(from: TLSSocket | Socket, to: TLSSocket | Socket): void {
    from.on("data", (bytes: Buffer) => {
      this.#left -= 1;
      if (this.#left <= 0) {
        this.#left = Infinity;
        return this.cut();
      }
      this.read.push(bytes);
      if (to.write(bytes)) return;
      from.pause();
      to.once("drain", () => from.resume());
    });
  }
}
