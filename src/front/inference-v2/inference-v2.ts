/**
 * READ FIRST of this folder. The Open Inference Protocol v2 as KServe and Triton speak it, over HTTP and over gRPC: named
 * tensors in, named tensors out, for every model whose task takes tensors or can be told in them.
 *
 *   v2-models.ts         what is said and asked of models, whatever carries it
 *   infer-request.ts     what a request says beside its tensors; raw-tensors.ts: tensors as bytes, both ways
 *   infer-body.ts        HTTP: JSON, and raw tensors behind it → a request; infer-reply.ts: and back
 *   grpc-infer.ts        gRPC: a message → a request, and back; grpc-contents.ts: typed contents
 *   triton-extensions.ts statistics, configuration, the folder of models; rest-extensions.ts: their routes
 *   grpc-front.ts        the service; grpc-health.ts: grpc.health.v1; inference-proto.ts: their messages
 */
import type { MillraceError, ModelInfo } from "millrace-client/wire";
import type { GrpcFront } from "../../listen/grpc/grpc-front.js";
import type { Exchange, HttpFront, Reply, Route } from "../../listen/http/http-front.js";
import { version } from "../../version.js";
import type { Front, FrontParts } from "../front.js";
import { errorHead, readyHead } from "../reply-heads.js";
import { withBody } from "../with-body.js";
import { readInferBody } from "./infer-body.js";
import { inferReply } from "./infer-reply.js";
import type { InferBody } from "./infer-request.js";
import { extensionRoutes } from "./rest-extensions.js";
import { inferErrorSchema, withDocs } from "./route-docs.js";
import { extensions, onlyVersion, V2Models } from "./v2-models.js";

export function openInferenceV2Front(parts: FrontParts): Front {
  const models = new V2Models(parts);
  return { http: new InferenceV2Front(models), grpc: () => openGrpcFront(models) };
}

async function openGrpcFront(models: V2Models): Promise<GrpcFront> {
  const { inferenceGrpcFront } = await import("./grpc-front.js");
  return inferenceGrpcFront(models);
}

const json = "application/json";

class InferenceV2Front implements HttpFront {
  readonly name = "inference-v2";
  readonly routes: readonly Route[];
  readonly pathPrefixes: readonly string[] = ["/v2/models", "/v2/health", "/v2/repository"];
  readonly errorSchema = inferErrorSchema;
  readonly #models: V2Models;

  constructor(models: V2Models) {
    this.#models = models;
    const { views } = models.parts;
    const memory = (path: string, answer: (exchange: Exchange) => Reply): Route => {
      const handler = (exchange: Exchange): void => exchange.reply(answer(exchange));
      const access = path.startsWith("/v2/health/") ? "open" : "key";
      return { path, method: "GET", access, fromMemory: true, handler };
    };
    const model = "/v2/models/{model}";
    const paths = [model, `${model}/versions/{version}`];
    this.routes = withDocs([
      memory("/v2", () => reply(200, { name: "millrace", version, extensions })),
      memory("/v2/health/live", () => reply(200, { live: true })),
      memory("/v2/health/ready", () => {
        const { ready } = views.ready();
        return readiness({ ready });
      }),
      ...paths.flatMap((path): Route[] => [
        memory(path, (exchange) => reply(200, models.metadataOf(this.#find(exchange)))),
        memory(`${path}/ready`, (exchange) => {
          const { name, ready } = this.#find(exchange);
          return readiness({ name, ready });
        }),
        { path: `${path}/infer`, method: "POST", handler: (exchange) => this.#infer(exchange) },
      ]),
      ...extensionRoutes(models, reply),
    ]);
  }

  renderError(error: MillraceError): Reply {
    const { status, headers } = errorHead(error);
    return reply(status, { error: error.message }, headers);
  }

  #find({ params, caller }: Exchange): ModelInfo {
    const { model = "", version } = params;
    return this.#models.find(model, { caller, version });
  }

  async #infer(exchange: Exchange): Promise<void> {
    const { model: name = "", version } = exchange.params;
    const { caller } = exchange;
    const model = this.#models.findForInfer(name, { caller, version });
    const takesFiles = (): boolean => this.#models.takesFiles(model.name);
    const reading = { ...this.#models.parts.options, takesFiles };
    await withBody(exchange, {
      read: async (body) => ({
        ...(await readInferBody(body.buffer(), exchange.headers, reading)),
        payloadBytes: body.bytes,
      }),
      answer: (read) => this.#submit(exchange, model, read),
    });
  }

  async #submit(
    exchange: Exchange,
    model: ModelInfo,
    read: InferBody & { readonly payloadBytes: number },
  ): Promise<void> {
    const tensors = await this.#models.infer(exchange, model, read);
    const answered = { model: model.name, version: onlyVersion, read };
    const whole = await inferReply(tensors, answered);
    // Making it may have taken a while.
    if (!exchange.departed.aborted) exchange.reply(whole);
  }
}

/** The status is what counts; the body says the same. */
function readiness(body: { readonly name?: string; readonly ready: boolean }): Reply {
  const { status, headers } = readyHead(body.ready);
  return reply(status, body, headers);
}

function reply(
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return { status, contentType: json, body: JSON.stringify(body), headers };
}
