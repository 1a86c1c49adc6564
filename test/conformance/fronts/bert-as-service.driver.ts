/** bert-as-service over ZeroMQ: a PUSH and a SUB for each client, as the original has them. */
import { BertSockets } from "../../support/bert-clients.js";
import { anywhere, bertCells } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  type Outcome,
  Refused,
} from "./driver.js";

const told = (code: string): string =>
  `the type of the numbers is \`${code}: …\`, which the client raises as a \`TypeError\``;
const alone = "the message says which text it was; the others of the request have none either";

export const bertAsService: FrontDriver<"embed"> = {
  title: "bert-as-service, ZeroMQ",
  client: "PUSH and SUB of zeromq 6 (npm), and pyzmq in test/conformance/bert-as-service.test.ts",
  task: "embed",
  options: { bertPort: 0, bertPortOut: 0, bertModel: "vectors" },
  nativeFields: { pooling: "mean", layer: -2, normalize: false, maxTokens: 25, truncate: true },
  cells: {
    ...anywhere,
    ...bertCells,
    numbers: { how: "the bytes of the float32 themselves" },
    order: { how: "rows are in the order of the texts, however many there are" },
    badInput: {
      how: `${told("item_failed")}; ${alone}`,
      fails: "together",
      says: "item_failed",
    },
    malformed: { how: told("bad_request"), says: "bad_request" },
    manyCallers: { how: "a PUSH and a SUB each" },
    callerGone: {
      how: "nobody is subscribed to its identity any more, for a quarter of a second",
    },
    cancel: { cannot: "it has no word for it: who cancels closes its sockets, which is to leave" },
    queueFull: { how: told("queue_full"), says: "queue_full" },
    deadline: {
      how: `\`--request-timeout-ms-default\`, for the protocol has no field for it; ${told("deadline_exceeded")}`,
      by: "server",
      fails: "together",
      says: "deadline_exceeded",
    },
    notReady: { how: told("not_ready"), says: "not_ready" },
    draining: { how: told("draining"), says: "draining" },
    unauthenticated: {
      how: `an identity begins with its key, and a point ends it; ${told("unauthenticated")}, and \`server_config\` has it as \`server_version\``,
      says: "unauthenticated",
    },
  },
  open: ({ otherUrls }, { key }) => {
    const ports = otherUrls.flatMap((url) => url.match(/\d+(?= → |$)/g) ?? []).slice(-2);
    const [port = 0, portOut = 0] = ports.map(Number);
    clients += 1;
    const identity = key === null ? undefined : `${key}.${clients}`;
    return Promise.resolve(new BertDriverClient(new BertSockets({ port, portOut }, identity)));
  },
};

let clients = 0;

class BertDriverClient implements FrontClient<"embed"> {
  readonly #sockets: BertSockets;

  constructor(sockets: BertSockets) {
    this.#sockets = sockets;
  }

  async ask(
    texts: readonly string[],
    { leave }: AskOptions = {},
  ): Promise<readonly Outcome<"embed">[]> {
    leave?.addEventListener("abort", () => this.#sockets[Symbol.dispose]());
    const id = await this.#sockets.send(texts, String(texts.length));
    const { dtype, shape, data, id: answered } = await this.#sockets.reply();
    if (answered !== id) throw new Error(`request ${id} was answered as ${answered}`);
    if (dtype !== "float32") throw refusedOf(dtype);
    const [rows = 0, width = 0] = shape;
    return Array.from({ length: rows }, (_, row) => [
      ...data.subarray(row * width, (row + 1) * width),
    ]);
  }

  async malformed(): Promise<unknown> {
    await this.#sockets.send('["text');
    throw refusedOf((await this.#sockets.reply()).dtype);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sockets[Symbol.dispose]();
    await Promise.resolve();
  }
}

function refusedOf(dtype: string): Refused {
  const [says = "", ...why] = dtype.split(": ");
  return new Refused(says, why.join(": "));
}
