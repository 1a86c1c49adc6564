/** Without namespaces: a proxy between each node and NATS that can stop to move bytes, in both directions, while connections stay open. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { NodeNetwork, NodePlace } from "./network.js";

const host = "127.0.0.1";

export function openProxies(): NodeNetwork {
  const proxies: LinkProxy[] = [];
  return {
    natsHost: host,
    join: async (natsPort) => {
      const proxy = await LinkProxy.open(natsPort);
      proxies.push(proxy);
      return proxy;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(proxies.map((proxy) => proxy.close()));
    },
  };
}

class LinkProxy implements NodePlace {
  readonly host: string = host;
  readonly natsUrl: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  static async open(natsPort: number): Promise<LinkProxy> {
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, host);
    await once(server, "listening");
    return new LinkProxy(server, natsPort);
  }

  private constructor(server: Server, natsPort: number) {
    this.#server = server;
    this.natsUrl = `nats://${host}:${(server.address() as AddressInfo).port}`;
    server.on("connection", (near: Socket) => this.#link(near, connect(natsPort, host)));
  }

  async cut(): Promise<void> {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** What was under way arrives now, as it does when a network comes back before connections are given up. */
  async heal(): Promise<void> {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.resume();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #link(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on("data", (chunk: Buffer) => {
        if (!to.write(chunk)) from.pause();
      });
      to.on("drain", () => {
        if (!this.#isCut) from.resume();
      });
      from.on("error", () => {});
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    if (this.#isCut) far.pause();
    else near.resume();
  }
}
