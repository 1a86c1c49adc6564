/** bert-as-service over HTTP: one reply with rows of numbers. */
import { HttpConnection } from "../../support/http-connection.js";
import { bertCells, overHttp } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  type Outcome,
  Refused,
} from "./driver.js";

const alone = "the description says which text it was; the others of the request have none either";

export const bertAsServiceHttp: FrontDriver<"embed"> = {
  title: "bert-as-service, HTTP",
  client: "node:http",
  task: "embed",
  options: { bertHttp: true, bertModel: "vectors" },
  nativeFields: { pooling: "mean", layer: -2, normalize: false, maxTokens: 25, truncate: true },
  cells: {
    ...overHttp,
    ...bertCells,
    numbers: { how: "the shortest decimal number that reads back as the same float32" },
    order: { how: "rows of `result` are in the order of `texts`" },
    badInput: { how: `\`422\`; ${alone}`, fails: "together", says: "422 item_failed" },
    malformed: { how: "`400`; the connection stays", says: "400 bad_request" },
    queueFull: { how: "`429` with `Retry-After`", says: "429 queue_full" },
    deadline: {
      how: "`--request-timeout-ms-default`, for the protocol has no field for it; `504`",
      by: "server",
      fails: "together",
      says: "504 deadline_exceeded",
    },
    notReady: { how: "`503` with `Retry-After`", says: "503 not_ready" },
    draining: { how: "`503` with `Retry-After`", says: "503 draining" },
    unauthenticated: { how: "`401`", says: "401 unauthenticated" },
  },
  open: (server, { key }) => Promise.resolve(new BertHttpClient(server.url, key)),
};

class BertHttpClient implements FrontClient<"embed"> {
  readonly #connection: HttpConnection;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, key: string | null) {
    this.#connection = new HttpConnection(url);
    const authorization = key === null ? {} : { authorization: `Bearer ${key}` };
    this.#headers = { "content-type": "application/json", ...authorization };
  }

  async ask(
    texts: readonly string[],
    { leave }: AskOptions = {},
  ): Promise<readonly Outcome<"embed">[]> {
    const { result } = await this.#send(JSON.stringify({ id: 1, texts }), leave);
    return result as readonly (readonly number[])[];
  }

  malformed(): Promise<unknown> {
    return this.#send('{"id": 1, "texts": [');
  }

  async #send(body: string, signal?: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    const headers = this.#headers;
    const answer = await this.#connection.send("/encode", { headers, body, signal });
    const said = JSON.parse(answer.body.toString()) as Readonly<Record<string, unknown>>;
    if (answer.status === 200) return said;
    throw new Refused(`${answer.status} ${String(said["type"])}`, String(said["description"]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
    await Promise.resolve();
  }
}
