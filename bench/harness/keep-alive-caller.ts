/**
 * A caller that costs little: one connection that stays open, one request at a time, and of HTTP no more than Millrace's replies need.
 * Where callers share the processor with what they measure, `fetch` and `node:http` take more of it for each request than Millrace may.
 * Nothing is sent again: what is lost must show.
 */
import { connect, type Socket } from "node:net";
import type { Posted } from "./post.js";

interface Waiting {
  readonly resolve: (posted: Posted) => void;
  readonly reject: (error: Error) => void;
}

const headEnd = "\r\n\r\n";

export class KeepAliveCaller implements Disposable {
  readonly #socket: Socket;
  readonly #head: string;
  #received: Buffer = Buffer.alloc(0);
  #waiting: Waiting | null = null;

  private constructor(socket: Socket, { host, pathname, search }: URL) {
    this.#socket = socket;
    this.#head = `POST ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: `;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  /** @throws where nobody listens there */
  static async open(url: URL): Promise<KeepAliveCaller> {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve).once("error", reject);
    });
    return new KeepAliveCaller(socket, url);
  }

  /** JSON, when its last one was answered. @throws where the connection fails, or the reply is not framed by its length */
  async post(body: string): Promise<Posted> {
    if (this.#waiting !== null) throw new Error("one request at a time");
    return await new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      if (!this.#socket.writable) this.#fail(new Error("the connection is closed"));
      else this.#socket.write(`${this.#head}${Buffer.byteLength(body)}${headEnd}${body}`);
    });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const headBytes = this.#received.indexOf(headEnd);
    if (headBytes === -1) return;
    const head = this.#received.toString("latin1", 0, headBytes);
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(head) ?? [];
    const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
    if (status === undefined || length === undefined) {
      this.#fail(new Error(`no reply with a length: ${head.slice(0, 300)}`));
      return;
    }
    const from = headBytes + headEnd.length;
    const until = from + Number(length);
    if (this.#received.length < until) return;
    const reply = this.#received.toString("utf8", from, until);
    this.#received = this.#received.subarray(until);
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve({ status: Number(status), reply });
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(error);
    this.#socket.destroy();
  }
}
