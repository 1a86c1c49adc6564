/** A real listener over ZeroMQ with a front of the test's own, on free ports; `await using` closes it. */
import { Dealer, Push, Subscriber } from "zeromq";
import { type Access, openAccess } from "#src/access/access.js";
import { startZmqListener } from "#src/listen/zmq/listener.js";
import type { ZmqFront, ZmqMessage } from "#src/listen/zmq/zmq-front.js";
import { createLog } from "#src/log.js";
import type { Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";

type Listener = Awaited<ReturnType<typeof startZmqListener>>;

export interface TestZmqOptions extends Partial<Options> {
  readonly front?: Partial<ZmqFront>;
  readonly access?: Access;
}

export class TestZmq implements AsyncDisposable {
  /** What the listener counted: `dropped malformed`, `shared`, `replied 200`, `refused queue_full`, `polled`. */
  readonly counted: string[] = [];
  readonly lines: string[] = [];
  readonly #sockets: { close(): void }[] = [];
  #listener: Listener | null = null;

  static async start(
    handle: (message: ZmqMessage) => void | Promise<void>,
    { front = {}, ...options }: TestZmqOptions = {},
  ): Promise<TestZmq> {
    const made: ZmqFront = {
      name: "made",
      port: 0,
      portOut: 0,
      takes: "pull",
      framesMax: 8,
      grantsOf: (subscription) => [subscription],
      handle,
      fail: (message, { code }) => {
        const [topic] = message.frames;
        if (topic !== undefined) message.publish(topic, [topic, code]);
      },
      ...front,
    };
    return await TestZmq.startFront(made, options);
  }

  static async startFront(
    front: ZmqFront,
    { access = openAccess, ...options }: Omit<TestZmqOptions, "front">,
  ): Promise<TestZmq> {
    const test = new TestZmq();
    const { counted, lines } = test;
    const { options: limits } = resolveConfiguration({ code: options });
    test.#listener = await startZmqListener({
      front,
      access,
      limits,
      metrics: {
        messagesDropped: (_, reason, count) =>
          void counted.push(...Array<string>(count).fill(`dropped ${reason}`)),
        topicShared: () => void counted.push("shared"),
        replied: ({ status }) => void counted.push(`replied ${status}`),
        refused: (code) => void counted.push(`refused ${code}`),
        polled: () => void counted.push("polled"),
      },
      log: createLog({
        log: "json",
        logLevel: "info",
        destination: { write: (line) => void lines.push(line) },
      }),
    });
    return test;
  }

  get listener(): Listener {
    if (this.#listener === null) throw new Error("not started");
    return this.#listener;
  }

  push(): Push {
    const socket = new Push({ linger: 0 });
    socket.connect(this.#urls.into);
    return this.#kept(socket);
  }

  dealer(): Dealer {
    const socket = new Dealer({ linger: 0 });
    socket.connect(this.#urls.into);
    return this.#kept(socket);
  }

  subscriber(...topics: readonly string[]): Subscriber {
    const socket = new Subscriber({ linger: 0 });
    socket.subscribe(...topics);
    socket.connect(this.#urls.out);
    return this.#kept(socket);
  }

  get #urls(): { readonly into: string; readonly out: string } {
    const [into = "", out = ""] = this.listener.url.split(" → ");
    return { into, out };
  }

  #kept<Socket extends { close(): void }>(socket: Socket): Socket {
    this.#sockets.push(socket);
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.close();
    await this.#listener?.close();
  }
}

/** Its next message as texts. */
export async function received(socket: Subscriber | Dealer): Promise<string[]> {
  return (await socket.receive()).map((frame) => frame.toString());
}
