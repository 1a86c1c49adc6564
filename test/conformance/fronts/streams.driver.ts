/** WebSockets: `/v1/stream` with many requests on a connection, and `/feed`, spoken with `ws`. */
import { once } from "node:events";
import type { StreamServerMessage, WireError } from "millrace-client/wire";
import { WebSocket } from "ws";
import { anywhere } from "./cells.js";
import {
  type AskOptions,
  type Cells,
  type FrontClient,
  type FrontDriver,
  modelOf,
  type Outcome,
  Refused,
} from "./driver.js";
import { readNative } from "./world.js";

const client = "ws 8 (npm)";
const refusal = (code: string): { readonly how: string; readonly says: string } => ({
  how: `an \`error\` with the code \`${code}\``,
  says: code,
});
const draining =
  "a connection on which nothing is under way is closed with 1001, a request on another one gets the code `draining`, and a handshake 503";

const stream: Cells = {
  ...anywhere,
  numbers: { how: "the shortest decimal number that reads back as the same float32" },
  order: { how: "outcomes come as they are ready, and each has its `index`" },
  badInput: {
    how: 'its `outcome` is `{"error": …}`',
    fails: "alone",
    says: "item_failed",
  },
  tooLong: { how: 'its `outcome` is `{"error": …}`', fails: "alone", says: "input_too_long" },
  unknownModel: refusal("model_not_found"),
  malformed: {
    how: "an `error` without an `id`, with the code `bad_request`; the connection stays",
    says: "bad_request",
  },
  manyCallers: { how: "a connection each, or one for all" },
  callerGone: { how: "the connection is closed, or does not answer a ping" },
  cancel: { how: "`cancel` with the `id`; an `error` with the code `cancelled` comes back" },
  queueFull: refusal("queue_full"),
  deadline: {
    how: '`timeoutMs` of the request; the `outcome` of each input that was too late is `{"error": …}`',
    by: "caller",
    fails: "alone",
    says: "deadline_exceeded",
  },
  notReady: refusal("not_ready"),
  draining: { how: draining, says: "1001" },
  unauthenticated: { how: "`401` of the handshake", says: "401" },
};

export const streamDriver: FrontDriver<"embed"> = {
  title: "WebSocket, /v1/stream",
  client,
  task: "embed",
  cells: stream,
  open: async (server, { key }) => {
    const protocols = ["millrace.v1", ...(key === null ? [] : [`millrace.key.${key}`])];
    return new StreamClient(await connected(`${server.url}/v1/stream`, { protocols }));
  },
};

const inReply = 'its entry of `results` is `{"error": …}`';
const failed = (code: string): { readonly how: string; readonly says: string } => ({
  how: `\`{"id", "error"}\` with the code \`${code}\``,
  says: code,
});

export const feedDriver: FrontDriver<"translate"> = {
  title: "WebSocket, /feed and /rev",
  client,
  task: "translate",
  cells: {
    ...stream,
    order: { how: "`results` has one entry for each input, in their order" },
    badInput: { how: inReply, fails: "alone", says: "item_failed" },
    tooLong: { how: inReply, fails: "alone", says: "input_too_long" },
    unknownModel: failed("model_not_found"),
    malformed: {
      how: "`error` with the code `bad_request`, and `id` null; the connection stays",
      says: "bad_request",
    },
    manyCallers: { how: "a connection each" },
    callerGone: { how: "the feed that asked and every rev of its session are closed" },
    cancel: { cannot: "a message to a feed is a request: who cancels closes the connection" },
    queueFull: failed("queue_full"),
    deadline: {
      how: `\`timeoutMs\` of the request; of an input that was too late ${inReply}`,
      by: "caller",
      fails: "alone",
      says: "deadline_exceeded",
    },
    notReady: failed("not_ready"),
  },
  open: async (server, { key }) => {
    const headers = key === null ? {} : { authorization: `Bearer ${key}` };
    return new FeedClient(await connected(`${server.url}/feed`, { headers }));
  },
};

interface Connecting {
  readonly protocols?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

async function connected(
  url: string,
  { protocols = [], headers = {} }: Connecting,
): Promise<WebSocket> {
  const ws = new WebSocket(url.replace(/^http/, "ws"), [...protocols], { headers });
  const refused = new Promise<never>((_resolve, reject) => {
    ws.on("error", (error) => {
      const [, status] = /response: (\d+)/.exec(error.message) ?? [];
      reject(status === undefined ? error : new Refused(status, error.message));
    });
  });
  await Promise.race([once(ws, "open"), refused]);
  // What comes later is told by the close.
  refused.catch(() => {});
  return ws;
}

/** One conversation after the other: what comes is for the one that is under way. */
class Conversation<Message> {
  readonly #ws: WebSocket;
  #onMessage: (message: Message) => void = () => {};
  #onClose: (code: number) => void = () => {};
  #code: number | null = null;

  constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on("message", (data: Buffer) => this.#onMessage(JSON.parse(data.toString()) as Message));
    ws.on("close", (code) => {
      this.#code = code;
      this.#onClose(code);
    });
  }

  /** Sends it, and gives what `read` makes of what comes; undefined: more is to come. */
  async ask<Result>(
    text: string,
    read: (message: Message) => Result | undefined,
    leave?: AbortSignal,
  ): Promise<Result> {
    leave?.addEventListener("abort", () => this.#ws.terminate());
    return await new Promise<Result>((resolve, reject) => {
      this.#onClose = (code) => reject(new Refused(String(code), "the connection was closed"));
      this.#onMessage = (message) => {
        try {
          const result = read(message);
          if (result !== undefined) resolve(result);
        } catch (error) {
          reject(error as Error);
        }
      };
      if (this.#code !== null) this.#onClose(this.#code);
      else this.#ws.send(text);
    });
  }

  say(text: string): void {
    this.#ws.send(text);
  }

  async close(): Promise<void> {
    if (this.#code !== null) return;
    const closed = once(this.#ws, "close");
    this.#ws.terminate();
    await closed;
  }
}

class StreamClient implements FrontClient<"embed"> {
  readonly #conversation: Conversation<StreamServerMessage>;
  #requests = 0;

  constructor(ws: WebSocket) {
    this.#conversation = new Conversation(ws);
  }

  async ask(
    texts: readonly string[],
    { model = modelOf.embed, timeoutMs, leave, cancel }: AskOptions = {},
  ): Promise<readonly Outcome<"embed">[]> {
    this.#requests += 1;
    const id = String(this.#requests);
    const request = { type: "request", id, task: "embed", model, texts, timeoutMs };
    const results: object[] = [];
    cancel?.addEventListener("abort", () => {
      this.#conversation.say(JSON.stringify({ type: "cancel", id }));
    });
    const read = (message: StreamServerMessage): true | undefined => {
      if (message.type === "error") throw refusedBy(message.error);
      if (message.type === "outcome") results[message.index] = message.outcome;
      return message.type === "done" ? true : undefined;
    };
    await this.#conversation.ask(JSON.stringify(request), read, leave);
    return readNative("embed", { results });
  }

  malformed(): Promise<unknown> {
    return this.#conversation.ask('{"type": ', (message) => {
      if (message.type === "error" && message.id === undefined) throw refusedBy(message.error);
      return undefined;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#conversation.close();
  }
}

interface FeedReply {
  readonly id: number | null;
  readonly error?: WireError;
  readonly results?: readonly object[];
}

class FeedClient implements FrontClient<"translate"> {
  readonly #conversation: Conversation<FeedReply>;
  #requests = 0;

  constructor(ws: WebSocket) {
    this.#conversation = new Conversation(ws);
  }

  async ask(
    texts: readonly string[],
    { model = modelOf.translate, timeoutMs, leave }: AskOptions = {},
  ): Promise<readonly Outcome<"translate">[]> {
    this.#requests += 1;
    const request = JSON.stringify({ id: this.#requests, model, texts, timeoutMs });
    const reply = await this.#conversation.ask(request, read, leave);
    return readNative("translate", reply);
  }

  malformed(): Promise<unknown> {
    return this.#conversation.ask("[]", read);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#conversation.close();
  }
}

function read(reply: FeedReply): FeedReply {
  if (reply.error !== undefined) throw refusedBy(reply.error);
  return reply;
}

function refusedBy({ code, message }: WireError): Refused {
  return new Refused(code, message);
}
