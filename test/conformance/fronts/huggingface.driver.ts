/** Hugging Face's Inference API, by its official client: feature extraction. */
import { InferenceClient, InferenceClientProviderApiError } from "@huggingface/inference";
import { overHttp } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  modelOf,
  type Outcome,
  Refused,
} from "./driver.js";

const together = "a reply is a list of vectors, and has no place for an error";

export const huggingface: FrontDriver<"embed"> = {
  title: "Hugging Face Inference API",
  client: "`@huggingface/inference` 4 (npm)",
  task: "embed",
  cells: {
    ...overHttp,
    numbers: { how: "the shortest decimal number that reads back as the same float32" },
    order: { how: "the list has one vector for each input, in their order" },
    badInput: { how: `\`422\`, \`{"error": "…"}\`: ${together}`, fails: "together", says: "422" },
    tooLong: {
      how: `cut, as it is there, unless \`truncate\` is false: then \`400\`, for ${together}`,
      fails: "together",
      says: "400",
    },
    unknownModel: { how: "`404`, `Model NAME does not exist`", says: "404" },
    malformed: { how: "`400`; the connection stays", says: "400" },
    queueFull: { how: "`429` with `Retry-After`", says: "429" },
    deadline: {
      how: "`504`; how long a request may take the server says",
      by: "server",
      fails: "together",
      says: "504",
    },
    notReady: {
      how: "`503` with `estimated_time` in seconds; the client asks again at once unless `retry_on_error` is false",
      says: "503",
    },
    draining: { how: "`503` with `Retry-After`", says: "503" },
    unauthenticated: { how: "`401`", says: "401" },
  },
  open: ({ url }, { key }) => Promise.resolve(new HuggingfaceClient(url, key)),
};

class HuggingfaceClient implements FrontClient<"embed"> {
  readonly #url: string;
  readonly #client: InferenceClient;

  constructor(url: string, key: string | null) {
    this.#url = url;
    this.#client = new InferenceClient(key ?? "");
  }

  async ask(
    inputs: readonly string[],
    { model = modelOf.embed, leave }: AskOptions = {},
  ): Promise<readonly Outcome<"embed">[]> {
    const endpoint = this.#client.endpoint(`${this.#url}/models/${model}`);
    const options = { retry_on_error: false, ...(leave && { signal: leave }) };
    try {
      const vectors = await endpoint.featureExtraction(
        { inputs: [...inputs], truncate: false },
        options,
      );
      return vectors as number[][];
    } catch (error) {
      if (!(error instanceof InferenceClientProviderApiError)) throw error;
      throw new Refused(String(error.httpResponse.status), error.message);
    }
  }

  async malformed(): Promise<unknown> {
    const response = await fetch(`${this.#url}/models/${modelOf.embed}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"inputs": [',
    });
    const { error } = (await response.json()) as { readonly error: string };
    throw new Refused(String(response.status), error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
  }
}
