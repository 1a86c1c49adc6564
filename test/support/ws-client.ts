/** A client of a WebSocket as `ws` has it: what came, in order, and how it ended. */
import { once } from "node:events";
import type { StreamClientMessage, StreamServerMessage } from "millrace-client/wire";
import { WebSocket } from "ws";

export interface WsOptions {
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** False: pings get no answer. */
  readonly autoPong?: boolean;
  /** The certificate that is trusted. */
  readonly ca?: string;
}

export class WsClient<Message = StreamServerMessage> implements AsyncDisposable {
  readonly ws: WebSocket;
  readonly #came: Message[] = [];
  #wake: () => void = () => {};
  #end: { readonly code: number; readonly reason: string } | null = null;

  private constructor(url: string, { protocols = [], ...options }: WsOptions) {
    this.ws = new WebSocket(url.replace(/^http/, "ws"), [...protocols], options);
    this.ws.on("message", (data: Buffer) => {
      this.#came.push(JSON.parse(data.toString()) as Message);
      this.#wake();
    });
    this.ws.on("error", () => {});
    this.ws.on("close", (code, reason) => {
      this.#end = { code, reason: reason.toString() };
      this.#wake();
    });
  }

  static async open<Message = StreamServerMessage>(
    url: string,
    options: WsOptions = {},
  ): Promise<WsClient<Message>> {
    const client = new WsClient<Message>(url, options);
    await once(client.ws, "open");
    return client;
  }

  say(message: StreamClientMessage | Readonly<Record<string, unknown>>): void {
    this.ws.send(JSON.stringify(message));
  }

  /** The next one; throws where the connection ends first. */
  async next(): Promise<Message> {
    for (;;) {
      const message = this.#came.shift();
      if (message !== undefined) return message;
      if (this.#end !== null) throw new Error(`ended: ${JSON.stringify(this.#end)}`);
      await this.#more();
    }
  }

  /** Those that came, until one is as `isLast` says. */
  async until(isLast: (message: Message) => boolean): Promise<Message[]> {
    const messages: Message[] = [];
    for (;;) {
      const message = await this.next();
      messages.push(message);
      if (isLast(message)) return messages;
    }
  }

  async closed(): Promise<{ readonly code: number; readonly reason: string }> {
    while (this.#end === null) await this.#more();
    return this.#end;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ws.terminate();
    await this.closed();
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}
