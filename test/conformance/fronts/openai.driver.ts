/** OpenAI's protocol, spoken by its own client, which asks for base64 by itself. */
import OpenAI, { APIError, APIUserAbortError } from "openai";
import { overHttp } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  modelOf,
  type Outcome,
  Refused,
} from "./driver.js";

const together =
  "the protocol has no error of one input: the request fails, and `param` says which";

export const openAi: FrontDriver<"embed"> = {
  title: "OpenAI's embeddings",
  client: "openai (npm)",
  task: "embed",
  cells: {
    ...overHttp,
    numbers: { how: "float32 in base64, or as decimal numbers that read back as the same" },
    order: { how: "`data` has one entry for each input, in their order, with its `index`" },
    badInput: {
      how: `\`422\` \`item_failed\`, UnprocessableEntityError: ${together}`,
      fails: "together",
      says: "UnprocessableEntityError item_failed",
    },
    tooLong: {
      how: `\`400\` \`context_length_exceeded\`, BadRequestError: ${together}`,
      fails: "together",
      says: "BadRequestError context_length_exceeded",
    },
    unknownModel: { how: "`404`, NotFoundError", says: "NotFoundError model_not_found" },
    malformed: { how: "`400`, BadRequestError", says: "BadRequestError bad_request" },
    callerGone: { how: "the client's `signal` and `timeout` close the connection" },
    queueFull: {
      how: "`429` `queue_full` with `Retry-After`, RateLimitError; the client waits and asks again",
      says: "RateLimitError queue_full",
    },
    deadline: {
      how: "the server's `--request-timeout-ms-default`; `504`, InternalServerError, and not asked again",
      by: "server",
      fails: "together",
      says: "InternalServerError deadline_exceeded",
    },
    notReady: {
      how: "`503` with `Retry-After`, InternalServerError",
      says: "InternalServerError not_ready",
    },
    draining: {
      how: "`503` with `Retry-After`, InternalServerError",
      says: "InternalServerError draining",
    },
    unauthenticated: {
      how: "`401` `invalid_api_key`, AuthenticationError",
      says: "AuthenticationError invalid_api_key",
    },
  },
  open: (server, { key }) => Promise.resolve(new OpenAiClient(server.url, key)),
};

class OpenAiClient implements FrontClient<"embed"> {
  readonly #client: OpenAI;

  constructor(url: string, key: string | null) {
    // The client insists on a key, also where nobody asks for one.
    this.#client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key ?? "none", maxRetries: 0 });
  }

  async ask(
    inputs: readonly string[],
    { model = modelOf.embed, leave }: AskOptions = {},
  ): Promise<readonly Outcome<"embed">[]> {
    const options = leave === undefined ? {} : { signal: leave };
    const asked = this.#client.embeddings.create({ model, input: [...inputs] }, options);
    const { data } = await asked.catch(refuse);
    return data.map(({ embedding }) => embedding);
  }

  async malformed(): Promise<unknown> {
    return await this.#client
      .post("/embeddings", { body: { input: { of: "nobody" } } })
      .catch(refuse);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
  }
}

function refuse(error: unknown): never {
  if (!(error instanceof APIError) || error instanceof APIUserAbortError) throw error;
  throw new Refused(`${error.constructor.name} ${error.code ?? ""}`, error.message);
}
