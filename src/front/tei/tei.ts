/**
 * READ FIRST of this folder. The protocol of text-embeddings-inference, whose clients name no model: `--tei-model` says which one
 * it is, else it is the only one for what they ask (model.ts).
 *
 *   fields.ts    its requests                     embed.ts     /embed, /embed_all, /similarity
 *   replies.ts   its headers                      predict.ts   /predict, /rerank
 *   errors.ts    its errors                       tokens.ts    /tokenize, /decode
 *                                                 vertex.ts    /vertex
 */
import { MillraceError } from "millrace-client/wire";
import type { z } from "zod";
import type { Exchange, HttpFront, Reply, Route, RouteDoc } from "../../listen/http/http-front.js";
import { version } from "../../version.js";
import type { Asker } from "../../work/asker.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { type BodyShape, usualBody } from "../../work/json-object.js";
import type { JsonObject } from "../../work/payload.js";
import type { Front, FrontParts } from "../front.js";
import { type ReadBody, schemaOf, withJsonOf } from "../json-body.js";
import { type FieldNames, renamedFields } from "../renamed-fields.js";
import { embed, embedAll, similarity } from "./embed.js";
import { teiError, teiErrorSchema } from "./errors.js";
import {
  decodeRequest,
  embedAllRequest,
  embedRequest,
  inputNames,
  predictRequest,
  rerankRequest,
  similarityRequest,
  tokenizeRequest,
  vertexRequest,
} from "./fields.js";
import { infoOf, teiModel } from "./model.js";
import { predict, rerank } from "./predict.js";
import { type TeiAnswer, teiReply } from "./replies.js";
import { decode, tokenize } from "./tokens.js";
import { vertex, vertexShape } from "./vertex.js";

export function openTeiFront(parts: FrontParts): Front {
  return { http: new TeiFront(parts) };
}

type Answer<Value> = (asker: Asker, parts: FrontParts, body: ReadBody<Value>) => Promise<TeiAnswer>;

const number: JsonObject = { type: "number" };
const vector: JsonObject = { type: "array", items: number };
const list = (items: JsonObject): JsonObject => ({ type: "array", items });
const prediction: JsonObject = {
  type: "object",
  required: ["score", "label"],
  properties: { score: number, label: { type: "string" } },
};
const rank: JsonObject = {
  type: "object",
  required: ["index", "score"],
  properties: { index: { type: "integer" }, score: number, text: { type: "string" } },
};
const token: JsonObject = {
  type: "object",
  required: ["id", "text", "special", "start", "stop"],
  properties: {
    id: { type: "integer" },
    text: { type: "string" },
    special: { type: "boolean" },
    start: { type: ["integer", "null"] },
    stop: { type: ["integer", "null"] },
  },
};

class TeiFront implements HttpFront {
  readonly name = "tei";
  readonly routes: readonly Route[];
  readonly pathPrefixes: readonly string[] = [];
  readonly errorSchema = teiErrorSchema;
  readonly #parts: FrontParts;

  constructor(parts: FrontParts) {
    this.#parts = parts;
    const embedRoute = this.#route(embedRequest, embed);
    const predictRoute = this.#route(predictRequest, predict);
    const rerankRoute = this.#route(rerankRequest, rerank, { names: [] });
    const byModel = async (exchange: Exchange): Promise<void> => {
      const { task } = teiModel(parts, exchange.caller);
      const { handler } = { embed: embedRoute, rerank: rerankRoute, classify: predictRoute }[task];
      await handler(exchange);
    };
    const own = { summary: "What the model is for: /embed, /rerank or /predict", handler: byModel };
    const any: JsonObject = { type: "array" };
    this.routes = [
      post("/embed", embedRoute, { summary: "Vectors of texts", reply: list(vector) }),
      post("/embed_all", this.#route(embedAllRequest, embedAll), {
        summary: "The vectors of each text's tokens",
        reply: list(list(vector)),
      }),
      post("/embed_sparse", this.#route(embedAllRequest, refuseSparse), {
        summary: "Refused: no model of Millrace gives sparse vectors",
        reply: any,
      }),
      post("/similarity", this.#route(similarityRequest, similarity), {
        summary: "How near each sentence is to the first",
        reply: vector,
      }),
      post("/predict", predictRoute, {
        summary: "The labels of texts or pairs, the best first",
        reply: { anyOf: [list(prediction), list(list(prediction))] },
      }),
      post("/rerank", rerankRoute, { summary: "How well texts answer", reply: list(rank) }),
      post("/tokenize", this.#route(tokenizeRequest, tokenize), {
        summary: "The tokens that the model reads",
        reply: list(list(token)),
      }),
      post("/decode", this.#route(decodeRequest, decode, { names: [["tokenIds", "ids"]] }), {
        summary: "Token ids as text",
        reply: list({ type: "string" }),
      }),
      ...["/", "/invocations"].map((path): Route => {
        const { summary, handler } = own;
        const request = { "application/json": { type: "object" } };
        const doc = { summary, request, reply: { "application/json": any } };
        return { path, method: "POST", doc, handler };
      }),
      post("/vertex", this.#route(vertexRequest, vertex, { shape: vertexShape }), {
        summary: "Several requests for what the model is for, in Vertex AI's envelope",
        reply: { type: "object", required: ["predictions"], properties: { predictions: any } },
      }),
      this.#info(),
      ...["/health", "/ping", "/"].map((path) => this.#health(path)),
    ];
  }

  renderError(error: MillraceError): Reply {
    return teiError(error);
  }

  #route<Value>(
    schema: z.ZodType<Value>,
    answer: Answer<Value>,
    {
      names = inputNames,
      shape = usualBody,
    }: { readonly names?: FieldNames; readonly shape?: BodyShape } = {},
  ): { readonly schema: z.ZodType; readonly handler: Route["handler"] } {
    const parts = this.#parts;
    const handler = async (exchange: Exchange): Promise<void> => {
      refuseWhileDraining(parts.views);
      try {
        await withJsonOf(exchange, { schema, shape }, async (body) => {
          exchange.reply(teiReply(await answer(exchange, parts, body)));
        });
      } catch (thrown) {
        throw renamedFields(thrown, names);
      }
    };
    return { schema, handler };
  }

  #info(): Route {
    return {
      path: "/info",
      method: "GET",
      fromMemory: true,
      doc: {
        summary: "The model that is served",
        reply: { "application/json": { type: "object" } },
      },
      handler: (exchange) => {
        const info = infoOf(teiModel(this.#parts, exchange.caller), this.#parts, version);
        exchange.reply(teiReply({ body: JSON.stringify(info) }));
      },
    };
  }

  #health(path: string): Route {
    return {
      path,
      method: "GET",
      access: "open",
      fromMemory: true,
      doc: {
        summary: "Whether the server takes work",
        reply: { "text/plain": { type: "string" } },
      },
      handler: (exchange) => {
        if (!this.#parts.views.ready().ready) throw new MillraceError("not_ready", "unhealthy");
        // Whoever opens the address in a browser would see an empty page; probes and clients get nothing, as there.
        const isPage = exchange.headers.accept?.includes("text/html") === true;
        const body = isPage ? `Millrace ${version} takes work. Its routes: /openapi.json\n` : "";
        exchange.reply({ status: 200, contentType: "text/plain", body });
      },
    };
  }
}

function post(
  path: string,
  { schema, handler }: { readonly schema: z.ZodType; readonly handler: Route["handler"] },
  { summary, reply }: { readonly summary: string; readonly reply: JsonObject },
): Route {
  const doc: RouteDoc = {
    summary: `${summary}, as text-embeddings-inference has it`,
    request: { "application/json": schemaOf(schema) },
    reply: { "application/json": reply },
  };
  return { path, method: "POST", doc, handler };
}

function refuseSparse(): Promise<never> {
  const message = "model is not an embedding model with SPLADE pooling";
  return Promise.reject(new MillraceError("model_not_found", message));
}
