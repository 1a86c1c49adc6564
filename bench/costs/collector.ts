/** A collector that costs next to nothing while it is measured beside: it keeps what comes, and reads it afterwards. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { spansOf } from "../../test/support/otlp-collector.js";

export interface Collected {
  readonly requests: number;
  readonly bytes: number;
  /** Of requests of callers. */
  readonly servers: number;
  readonly spans: number;
}

export class KeepingCollector implements AsyncDisposable {
  #bodies: Buffer[] = [];
  readonly #server: Server = createServer((request, response) => {
    void buffer(request).then((body) => {
      this.#bodies.push(body);
      response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
    });
  });

  static async start(): Promise<KeepingCollector> {
    const collector = new KeepingCollector();
    await new Promise<void>((resolve) => {
      collector.#server.listen(0, "127.0.0.1", resolve);
    });
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What came since the last time. */
  take(): Collected {
    const bodies = this.#bodies;
    this.#bodies = [];
    const spans = bodies.flatMap(spansOf);
    return {
      requests: bodies.length,
      bytes: bodies.reduce((sum, { length }) => sum + length, 0),
      servers: spans.filter(({ kind }) => kind === "server").length,
      spans: spans.length,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
