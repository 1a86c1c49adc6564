/**
 * bert-as-service over HTTP, on the main port: `POST /encode`, `GET /status/server`, `GET /status/client`. Web pages of any origin may
 * read the answers, as they may there.
 */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import type { Exchange, HttpFront, Reply, Route } from "../../listen/http/http-front.js";
import type { Caller } from "../../work/caller.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { float32Text } from "../../work/float-text.js";
import { inTurns } from "../../work/in-turns.js";
import { parseObject } from "../../work/json-object.js";
import { countSchema, objectSchema, textSchema } from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";
import { readForm } from "../form.js";
import { readAs, schemaOf } from "../json-body.js";
import { mediaTypeOf } from "../media-type.js";
import { errorHead } from "../reply-heads.js";
import { withBody } from "../with-body.js";
import { type Encoded, readBertTexts } from "./encode.js";
import { bertVersion } from "./server-status.js";
import type { BertParts } from "./shared-parts.js";

const anyOrigin = { "access-control-allow-origin": "*" } as const;
const json = "application/json";
const form = "application/x-www-form-urlencoded";

const encodeSchema = z.object({
  id: z
    .unknown()
    .meta({ description: "Given back as it came." })
    .refine((id) => id !== undefined, { error: "is missing" }),
  // What each of them is, the encoder looks at.
  texts: z.unknown().meta({
    type: "array",
    items: { anyOf: [{ type: "string" }, { type: "array", items: { type: "string" } }] },
  }),
  is_tokenized: z.boolean().optional(),
});
const encodeReply = {
  type: "object",
  properties: {
    id: {},
    result: { type: "array" },
    results: { type: "array" },
    status: { const: 200 },
  },
} as const;

const errorSchema: JsonObject = objectSchema({
  description: textSchema,
  type: textSchema,
  status: countSchema,
});

export class BertRoutes implements HttpFront {
  readonly name = "bert-as-service";
  readonly routes: readonly Route[];
  readonly pathPrefixes: readonly string[] = ["/encode", "/status/server", "/status/client"];
  readonly errorSchema: JsonObject = errorSchema;
  readonly #shared: BertParts;
  #asked = 0;
  readonly #pending = new Set<string>();

  constructor(shared: BertParts) {
    this.#shared = shared;
    this.routes = [
      {
        path: "/encode",
        method: "POST",
        isForAnyPage: true,
        doc: {
          summary: "Vectors of texts, as bert-as-service has them",
          request: { [json]: schemaOf(encodeSchema) },
          reply: { [json]: encodeReply },
        },
        handler: (exchange) => this.#encode(exchange),
      },
      this.#memory("/status/server", (caller) => shared.status.status("http", caller)),
      this.#memory("/status/client", () => this.#client()),
      ...this.pathPrefixes.map(preflight),
    ];
  }

  renderError(error: MillraceError): Reply {
    const { status, headers } = errorHead(error);
    const { code: type, message: description } = error;
    return jsonReplyOf(status, JSON.stringify({ description, type, status }), headers);
  }

  #memory(path: string, values: (caller: Caller) => object): Route {
    return {
      path,
      method: "GET",
      fromMemory: true,
      doc: {
        summary: `What bert-as-service tells at ${path}`,
        reply: { [json]: { type: "object" } },
      },
      handler: (exchange) =>
        exchange.reply(
          jsonReplyOf(200, JSON.stringify({ ...values(exchange.caller), status: 200 })),
        ),
    };
  }

  async #encode(exchange: Exchange): Promise<void> {
    const { parts, statistic, encoder } = this.#shared;
    refuseWhileDraining(parts.views);
    const read = readerOf(exchange, parts.options.requestInputsMax);
    try {
      await withBody(exchange, {
        read: (body) => {
          this.#asked += 1;
          this.#pending.add(exchange.id);
          const { id, texts } = readAs(encodeSchema, read(body.text()));
          return { id, texts: readBertTexts(texts, body.bytes) };
        },
        answer: async ({ id, texts }) => {
          statistic.encoded("http", texts.list.length);
          const result = await inTurns(rowsText(await encoder.encode(exchange, texts)));
          // The code of the original says `result`, its documentation `results`.
          const text = `{"id":${JSON.stringify(id)},"result":${result},"results":${result},"status":200}`;
          exchange.reply(jsonReplyOf(200, text));
        },
      });
    } finally {
      this.#pending.delete(exchange.id);
    }
  }

  /** There it is told of the one client that its HTTP server is. */
  #client(): object {
    const { options } = this.#shared.parts;
    return {
      identity: "http",
      num_request: this.#asked,
      num_pending_request: this.#pending.size,
      pending_request: [],
      output_fmt: "list",
      port: options.bertPort,
      port_out: options.bertPortOut,
      server_ip: options.host,
      client_version: bertVersion,
      timeout: options.requestTimeoutMsDefault,
    };
  }
}

function preflight(path: string): Route {
  const headers = {
    ...anyOrigin,
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type",
    "access-control-max-age": "600",
  };
  const reply = { status: 204, contentType: "text/plain", body: "", headers };
  const handler = (exchange: Exchange): void => exchange.reply(reply);
  return { path, method: "OPTIONS", access: "open", fromMemory: true, handler };
}

/** @throws MillraceError `unsupported_media_type` */
function readerOf(exchange: Exchange, repeatedMax: number): (text: string) => unknown {
  const sent = mediaTypeOf(exchange);
  if (sent === json) return (text) => parseObject(text);
  // `texts` may stand several times.
  if (sent === form) return (text) => readForm(text, { repeated: "texts", repeatedMax });
  throw new MillraceError("unsupported_media_type", `The body must be ${json} or ${form}.`);
}

function* rowsText({ data, shape }: Encoded): Generator<undefined, string> {
  const width = shape.at(-1) ?? 0;
  const perText = shape.length === 3 ? (shape[1] ?? 0) : 1;
  const texts: string[] = [];
  let row = 0;
  for (let text = 0; text < (shape[0] ?? 0); text += 1) {
    const rows: string[] = [];
    for (let token = 0; token < perText; token += 1) {
      const numbers: string[] = [];
      for (let at = row * width; at < (row + 1) * width; at += 1) {
        numbers.push(float32Text(data[at] ?? 0));
      }
      rows.push(`[${numbers.join(",")}]`);
      row += 1;
      yield;
    }
    texts.push(shape.length === 3 ? `[${rows.join(",")}]` : (rows[0] ?? "[]"));
  }
  return `[${texts.join(",")}]`;
}

function jsonReplyOf(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return { status, contentType: json, body, headers: { ...headers, ...anyOrigin } };
}
