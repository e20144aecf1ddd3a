/** TypeScript as editors run it: its own language server, over stdio. */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { ROOT } from "./rig.ts";

export type Completion = { readonly name: string; readonly type: string; readonly documentation: string };

type Message = {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
};

export class LanguageServer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (message: Message) => void>();
  readonly #ended: Promise<never>;
  #count = 0;
  #input = Buffer.alloc(0);

  private constructor(project: string) {
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    this.#child = spawn(tsc, ["--lsp", "--stdio"], { cwd: project, stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = new Promise((_, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code) => reject(new Error(`the language server ended with ${code}`)));
    });
    this.#ended.catch(() => {});
    this.#child.stdout?.on("data", (bytes: Buffer) => this.#read(bytes));
  }

  static async open(project: string): Promise<LanguageServer> {
    const server = new LanguageServer(project);
    const completionItem = { documentationFormat: ["markdown"] };
    await server.#ask("initialize", {
      processId: process.pid,
      rootUri: pathToFileURL(project).href,
      capabilities: { textDocument: { completion: { completionItem } } },
    });
    server.#send({ method: "initialized", params: {} });
    return server;
  }

  /** What is offered at the first `|` of a file that is being written, and what is wrong with the file without it. */
  async complete(
    file: string,
    text: string,
  ): Promise<{ readonly offered: readonly Completion[]; readonly problems: readonly string[] }> {
    const uri = pathToFileURL(file).href;
    const before = text.slice(0, text.indexOf("|")).split("\n");
    const position = { line: before.length - 1, character: before.at(-1)?.length ?? 0 };
    const textDocument = { uri, languageId: "typescript", version: 1, text: text.replace("|", "") };
    this.#send({ method: "textDocument/didOpen", params: { textDocument } });
    const { items } = (await this.#ask("textDocument/completion", { textDocument: { uri }, position })) as {
      items: { label: string }[];
    };
    const offered: Completion[] = [];
    for (const item of items) {
      const { detail = "", documentation } = (await this.#ask("completionItem/resolve", item)) as {
        detail?: string;
        documentation?: { value: string };
      };
      offered.push({
        name: item.label.replace(/\?$/, ""),
        type: detail,
        documentation: documentation?.value.trim() ?? "",
      });
    }
    const diagnostics = (await this.#ask("textDocument/diagnostic", { textDocument: { uri } })) as {
      items: { message: string }[];
    };
    return { offered, problems: diagnostics.items.map(({ message }) => message) };
  }

  async #ask(method: string, params: unknown): Promise<unknown> {
    const id = (this.#count += 1);
    const answered = new Promise<Message>((resolve) => this.#answers.set(id, resolve));
    this.#send({ id, method, params });
    const { result } = await Promise.race([answered, this.#ended]);
    return result;
  }

  #send(message: Message): void {
    const text = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#child.stdin?.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
  }

  #read(bytes: Buffer): void {
    this.#input = Buffer.concat([this.#input, bytes]);
    for (;;) {
      const head = this.#input.indexOf("\r\n\r\n");
      const [, length] =
        /Content-Length: (\d+)/.exec(this.#input.subarray(0, Math.max(0, head)).toString()) ?? [];
      const end = head + 4 + Number(length);
      if (length === undefined || this.#input.length < end) return;
      const message = JSON.parse(this.#input.subarray(head + 4, end).toString()) as Message;
      this.#input = this.#input.subarray(end);
      const { id, method } = message;
      if (id === undefined) continue;
      // What it asks of an editor: settings, none of which we have.
      if (method !== undefined) this.#send({ id, result: null });
      else this.#answers.get(id)?.(message);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#ended.catch(() => {});
  }
}
