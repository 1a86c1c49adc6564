/** A reverse proxy that gives a server a path prefix, and that can keep its stream of looks back. */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class PrefixProxy implements AsyncDisposable {
  /** `hold`: replies to `/status/events` never come, as where a proxy buffers. */
  stream: "pass" | "hold" | "refuse" = "pass";
  readonly #open = new Set<ServerResponse>();
  readonly #server = createServer((asked, reply) => this.#pass(asked, reply));
  readonly #to: URL;
  readonly #prefix: string;

  private constructor(to: string, prefix: string) {
    this.#to = new URL(to);
    this.#prefix = prefix;
  }

  static async start(to: string, prefix: string): Promise<PrefixProxy> {
    const proxy = new PrefixProxy(to, prefix);
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}${this.#prefix}/`;
  }

  /** Streams that are open end, in the middle of whatever they say. */
  breakStreams(): void {
    for (const reply of this.#open) reply.destroy();
  }

  #pass(asked: IncomingMessage, reply: ServerResponse): void {
    const { method, headers, url = "" } = asked;
    if (!url.startsWith(`${this.#prefix}/`)) {
      reply.writeHead(404).end();
      return;
    }
    const path = url.slice(this.#prefix.length);
    const isStream = path.startsWith("/status/events");
    if (isStream && this.stream === "refuse") {
      reply.writeHead(502).end();
      return;
    }
    if (isStream) {
      this.#open.add(reply);
      reply.on("close", () => this.#open.delete(reply));
      if (this.stream === "hold") {
        reply.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
        return;
      }
    }
    const { hostname: host, port } = this.#to;
    const sent = request({ host, port, path, method, headers }, (got) => {
      reply.writeHead(got.statusCode ?? 502, got.headers);
      got.pipe(reply);
    });
    reply.on("close", () => sent.destroy());
    sent.on("error", () => reply.destroy());
    asked.pipe(sent);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    this.#server.closeAllConnections();
    await closed;
  }
}
