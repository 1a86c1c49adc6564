/** text-embeddings-inference: `/embed`, as its own documentation's clients ask. */
import { type HttpAnswer, HttpConnection } from "../../support/http-connection.js";
import { overHttp } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  type Outcome,
  Refused,
} from "./driver.js";

const together = "a reply is a list of vectors, and has no place for an error";

export const tei: FrontDriver<"embed"> = {
  title: "text-embeddings-inference",
  client: "node:http, with what its documentation sends",
  task: "embed",
  cells: {
    ...overHttp,
    numbers: { how: "the shortest decimal number that reads back as the same float32" },
    order: { how: "the list has one vector for each input, in their order" },
    badInput: {
      how: `\`424\`, type \`Backend\`: ${together}`,
      fails: "together",
      says: "424 Backend",
    },
    tooLong: {
      how: `\`422\`, type \`Validation\`, unless \`truncate\` is set: ${together}`,
      fails: "together",
      says: "422 Validation",
    },
    unknownModel: {
      cannot: "its clients name no model: `--tei-model` says which one answers them",
    },
    malformed: {
      how: "`422`, type `Validation`; the connection stays",
      says: "422 Validation",
    },
    queueFull: { how: "`429`, type `Overloaded`, with `Retry-After`", says: "429 Overloaded" },
    deadline: {
      how: "`424`, type `Backend`; how long a request may take the server says",
      by: "server",
      fails: "together",
      says: "424 Backend",
    },
    notReady: { how: "`503`, type `Unhealthy`, with `Retry-After`", says: "503 Unhealthy" },
    draining: { how: "`503`, type `Unhealthy`, with `Retry-After`", says: "503 Unhealthy" },
    unauthenticated: { how: "`401`", says: "401 Validation" },
  },
  open: (server, { key }) => Promise.resolve(new TeiClient(server.url, key)),
};

class TeiClient implements FrontClient<"embed"> {
  readonly #connection: HttpConnection;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(url: string, key: string | null) {
    this.#connection = new HttpConnection(url);
    this.#headers = {
      "content-type": "application/json",
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    };
  }

  async ask(
    inputs: readonly string[],
    { leave }: AskOptions = {},
  ): Promise<readonly Outcome<"embed">[]> {
    const { body } = await this.#send(JSON.stringify({ inputs, normalize: false }), leave);
    return JSON.parse(body.toString()) as number[][];
  }

  malformed(): Promise<unknown> {
    return this.#send('{"inputs": [');
  }

  async #send(body: string, signal?: AbortSignal): Promise<HttpAnswer> {
    const headers = this.#headers;
    const answer = await this.#connection.send("/embed", { headers, body, signal });
    if (answer.status === 200) return answer;
    const said = JSON.parse(answer.body.toString()) as { error: string; error_type: string };
    throw new Refused(`${answer.status} ${said.error_type}`, said.error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
    await Promise.resolve();
  }
}
