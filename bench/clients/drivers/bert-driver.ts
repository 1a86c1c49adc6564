/** bert-as-service over ZeroMQ, frame by frame as its own client sends and reads them: a PUSH and a SUB for each caller. */
import { randomUUID } from "node:crypto";
import { Push, Subscriber } from "zeromq";
import type { Driver, DriverTarget } from "../drivers.js";

export class BertClient implements Disposable {
  readonly #identity = randomUUID();
  readonly #push = new Push({ linger: 0 });
  readonly #subscriber = new Subscriber({ linger: 0 });
  #requests = 0;

  constructor({ bertPort, bertPortOut }: DriverTarget["ports"]) {
    this.#push.connect(`tcp://127.0.0.1:${bertPort}`);
    this.#subscriber.subscribe(this.#identity);
    this.#subscriber.connect(`tcp://127.0.0.1:${bertPortOut}`);
  }

  /** Rows of the reply. */
  async encode(texts: readonly string[]): Promise<number> {
    const [info] = await this.#ask(JSON.stringify(texts), texts.length);
    const { shape = [] } = JSON.parse(String(info)) as { readonly shape?: readonly number[] };
    if (shape.length !== 2) throw new Error(`no vectors came: ${String(info)}`);
    return shape[0] ?? 0;
  }

  async config(): Promise<void> {
    const [config] = await this.#ask("SHOW_CONFIG", 1);
    if (!String(config).includes("server_version")) throw new Error(`no config: ${String(config)}`);
  }

  /** What stands between the identity and the request's id. One question at a time. */
  async #ask(message: string, length: number): Promise<readonly Buffer[]> {
    this.#requests += 1;
    const id = String(this.#requests);
    await this.#push.send([this.#identity, message, id, String(length)]);
    for (;;) {
      const frames = await this.#subscriber.receive();
      if (frames.at(-1)?.toString() === id) return frames.slice(1, -1);
    }
  }

  [Symbol.dispose](): void {
    this.#push.close();
    this.#subscriber.close();
  }
}

export async function bertDriver({ ports, callers }: DriverTarget): Promise<Driver> {
  const clients = Array.from({ length: callers }, () => new BertClient(ports));
  // As the original does it right behind its connect.
  await Promise.all(clients.map((client) => client.config()));
  return {
    textsMax: 1_024,
    send: async (caller, texts) => {
      const client = clients[caller];
      if (client === undefined) throw new Error(`there is no caller ${caller}`);
      return await client.encode(texts);
    },
    [Symbol.asyncDispose]: () => {
      for (const client of clients) client[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}
