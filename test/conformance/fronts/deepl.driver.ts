/** DeepL's protocol, spoken by its own client; only to leave, which that cannot, the same form is sent by hand. */
import * as deepl from "deepl-node";
import { HttpConnection } from "../../support/http-connection.js";
import { overHttp } from "./cells.js";
import {
  type AskOptions,
  type FrontClient,
  type FrontDriver,
  type Outcome,
  Refused,
} from "./driver.js";

const together =
  "the protocol has no error of one text: the request fails, and the message says which";
const unavailable = "DeepLError: Service unavailable";

export const deepL: FrontDriver<"translate"> = {
  title: "DeepL's translations",
  client: "deepl-node (npm)",
  task: "translate",
  cells: {
    ...overHttp,
    numbers: { how: "there are none: the texts are the native route's" },
    order: { how: "`translations` has one entry for each text, in their order" },
    badInput: {
      how: `\`400\`, DeepLError: ${together}`,
      fails: "together",
      says: "DeepLError: Bad request",
    },
    tooLong: {
      how: `\`400\`, DeepLError: ${together}`,
      fails: "together",
      says: "DeepLError: Bad request",
    },
    unknownModel: {
      cannot: "it names languages and no model; languages that no model is for are a bad request",
    },
    malformed: { how: "`400`, DeepLError", says: "DeepLError: Bad request" },
    queueFull: {
      how: "`429` with `Retry-After`, TooManyRequestsError; the client waits and asks again",
      says: "TooManyRequestsError: Too many requests",
    },
    deadline: {
      how: "the server's `--request-timeout-ms-default`; `504`, DeepLError",
      by: "server",
      fails: "together",
      says: "DeepLError: Unexpected status code: 504 Gateway Timeout",
    },
    notReady: { how: "`503` with `Retry-After`, DeepLError", says: unavailable },
    draining: { how: "`503` with `Retry-After`, DeepLError", says: unavailable },
    unauthenticated: {
      how: "`403`, AuthorizationError",
      says: "AuthorizationError: Authorization failure",
    },
  },
  open: (server, { key }) => Promise.resolve(new DeepLClient(server.url, key ?? "none")),
};

class DeepLClient implements FrontClient<"translate"> {
  readonly #translator: deepl.Translator;
  readonly #connection: HttpConnection;
  readonly #key: string;

  constructor(serverUrl: string, key: string) {
    this.#key = key;
    this.#translator = new deepl.Translator(key, { serverUrl, maxRetries: 0, minTimeout: 60_000 });
    this.#connection = new HttpConnection(serverUrl);
  }

  async ask(
    texts: readonly string[],
    { leave }: AskOptions = {},
  ): Promise<readonly Outcome<"translate">[]> {
    if (leave !== undefined) return await this.#askToLeave(texts, leave);
    const results = await this.#translator.translateText([...texts], "en", "zh").catch(refuse);
    return results.map(({ text }) => text);
  }

  async malformed(): Promise<unknown> {
    const options = { extraRequestParameters: { target_lang: "" } };
    return await this.#translator.translateText("a", "en", "zh", options).catch(refuse);
  }

  async #askToLeave(texts: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const body = new URLSearchParams([
      ["target_lang", "zh"],
      ...texts.map((text): [string, string] => ["text", text]),
    ]).toString();
    const headers = {
      authorization: `DeepL-Auth-Key ${this.#key}`,
      "content-type": "application/x-www-form-urlencoded",
    };
    const answer = await this.#connection.send("/v2/translate", { headers, body, signal });
    const { translations } = JSON.parse(answer.body.toString()) as {
      readonly translations: readonly { readonly text: string }[];
    };
    return translations.map(({ text }) => text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
    await Promise.resolve();
  }
}

/** What the message begins with says which status it was, where the class does not. */
function refuse(error: unknown): never {
  if (!(error instanceof deepl.DeepLError) || error instanceof deepl.ConnectionError) throw error;
  const [what = ""] = error.message.split(",", 1);
  throw new Refused(`${error.constructor.name}: ${what}`, error.message);
}
