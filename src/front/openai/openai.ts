/**
 * READ FIRST of this folder. What OpenAI's clients ask of a server that has embeddings, in their protocol: `POST /v1/embeddings`
 * (embeddings.ts), files and batches of requests (files.ts, batches.ts) and `GET /v1/models/{model}`. The list of models is the native front's: `GET /v1/models` serves both readers.
 */
import { MillraceError } from "millrace-client/wire";
import type { Exchange, HttpFront, Reply, Route } from "../../listen/http/http-front.js";
import { modelsOf } from "../callers-models.js";
import type { Front, FrontParts } from "../front.js";
import { listedModel, listedModelSchema } from "../listed-model.js";
import { batchRoutes } from "./batches.js";
import { answerEmbeddings, embeddingsDoc } from "./embeddings.js";
import { openAiError, openAiErrorSchema } from "./errors.js";
import { fileRoutes } from "./files.js";

export function openOpenAiFront(parts: FrontParts): Front {
  return { http: new OpenAiFront(parts) };
}

class OpenAiFront implements HttpFront {
  readonly name = "openai";
  readonly routes: readonly Route[];
  /** With what their clients have methods for and is not served: they show this front's words. */
  readonly pathPrefixes: readonly string[] = [
    "/v1/embeddings",
    "/v1/models/",
    "/v1/chat/",
    "/v1/completions",
    "/v1/responses",
    "/v1/moderations",
    "/v1/images/",
    "/v1/audio/",
    "/v1/files",
    "/v1/batches",
  ];
  readonly errorSchema = openAiErrorSchema;
  readonly #parts: FrontParts;

  constructor(parts: FrontParts) {
    this.#parts = parts;
    this.routes = [
      {
        path: "/v1/embeddings",
        method: "POST",
        doc: embeddingsDoc,
        handler: (exchange) => answerEmbeddings(exchange, parts),
      },
      {
        path: "/v1/models/{model}",
        method: "GET",
        doc: {
          summary: "One model, as OpenAI's clients ask for it",
          reply: { "application/json": listedModelSchema },
        },
        handler: (exchange) => this.#model(exchange),
      },
      ...fileRoutes(parts),
      ...batchRoutes(parts),
    ];
  }

  renderError(error: MillraceError): Reply {
    return openAiError(error);
  }

  #model(exchange: Exchange): void {
    const { model = "" } = exchange.params;
    const models = modelsOf(this.#parts.views, exchange.caller);
    const found = models.find(({ name }) => name === model);
    if (found === undefined) {
      const message = `The model ${JSON.stringify(model.slice(0, 128))} does not exist.`;
      throw new MillraceError("model_not_found", message, { param: "model" });
    }
    const body = JSON.stringify(listedModel(found));
    exchange.reply({ status: 200, contentType: "application/json", body });
  }
}
