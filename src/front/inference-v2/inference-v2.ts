/**
 * READ FIRST of this folder. The Open Inference Protocol v2 over HTTP, as KServe and Triton speak it: named tensors in, named
 * tensors out, for every model whose task takes tensors.
 *
 *   infer-body.ts    JSON, and raw tensors behind it → what submit takes, and how the answer is wanted
 *   infer-reply.ts   the result → JSON, and raw tensors behind it
 *   raw-tensors.ts   tensors as bytes, both ways
 */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import type { Exchange, HttpFront, Reply, Route } from "../../listen/http/http-front.js";
import { version } from "../../version.js";
import type { TaskForm } from "../../work/task-form.js";
import { ask, valuesOf } from "../ask.js";
import type { Front, FrontParts } from "../front.js";
import { errorHead, readyHead } from "../reply-heads.js";
import { type InferBody, readInferBody } from "./infer-body.js";
import { inferReply } from "./infer-reply.js";
import { inferErrorSchema, withDocs } from "./route-docs.js";

export function openInferenceV2Front(parts: FrontParts): Front {
  return { http: new InferenceV2Front(parts) };
}

/** A model has one: the protocol wants a name for it. */
const onlyVersion = "1";
const json = "application/json";

type TensorForm = NonNullable<TaskForm["tensors"]>;

class InferenceV2Front implements HttpFront {
  readonly name = "inference-v2";
  readonly routes: readonly Route[];
  readonly pathPrefixes: readonly string[] = ["/v2/models", "/v2/health"];
  readonly errorSchema = inferErrorSchema;
  readonly #parts: FrontParts;

  constructor(parts: FrontParts) {
    this.#parts = parts;
    const { views } = parts;
    const memory = (path: string, answer: (exchange: Exchange) => Reply): Route => {
      const handler = (exchange: Exchange): void => exchange.reply(answer(exchange));
      const access = path.startsWith("/v2/health/") ? "open" : "key";
      return { path, method: "GET", access, fromMemory: true, handler };
    };
    const model = "/v2/models/{model}";
    const models = [model, `${model}/versions/{version}`];
    this.routes = withDocs([
      memory("/v2", () => reply(200, serverMetadata)),
      memory("/v2/health/live", () => reply(200, { live: true })),
      memory("/v2/health/ready", () => {
        const { ready } = views.ready();
        return readiness({ ready });
      }),
      ...models.flatMap((path): Route[] => [
        memory(path, ({ params }) => reply(200, modelMetadata(this.#model(params)))),
        memory(`${path}/ready`, ({ params }) => {
          const { name, ready } = this.#model(params);
          return readiness({ name, ready });
        }),
        { path: `${path}/infer`, method: "POST", handler: (exchange) => this.#infer(exchange) },
      ]),
    ]);
  }

  renderError(error: MillraceError): Reply {
    const { status, headers } = errorHead(error);
    return reply(status, { error: error.message }, headers);
  }

  /** @throws MillraceError `model_not_found` */
  #model({ model, version: asked }: Exchange["params"]): ModelInfo {
    const found = this.#parts.views.models().find(({ name }) => name === model);
    const shown = JSON.stringify(model?.slice(0, 128));
    if (found === undefined)
      throw new MillraceError("model_not_found", `there is no model ${shown}`);
    if (asked === undefined || asked === onlyVersion) return found;
    const message = `model ${shown} has version ${onlyVersion} only`;
    throw new MillraceError("model_not_found", message);
  }

  /** @throws MillraceError `bad_request` where the model takes no tensors. */
  #tensorsOf({ name, task }: ModelInfo): TensorForm {
    const form = this.#parts.tasks.find((each) => each.name === task);
    if (form?.tensors !== undefined) return form.tensors;
    const message = `model ${name} takes no tensors: it is served at /v1/${task}`;
    throw new MillraceError("bad_request", message);
  }

  async #infer(exchange: Exchange): Promise<void> {
    const { views, options } = this.#parts;
    if (views.isDraining) {
      throw new MillraceError("draining", "the server is stopping and takes no new work");
    }
    const model = this.#model(exchange.params);
    const form = this.#tensorsOf(model);
    const body = await exchange.receive();
    let replied: Promise<void>;
    try {
      const payloadBytes = body.bytes;
      const read = await readInferBody(body.buffer(), exchange.headers, options);
      // It calls submit before it waits, and submit has then admitted the bytes or refused them.
      replied = this.#submit(exchange, { read, model, form, payloadBytes });
    } finally {
      body.release();
    }
    await replied;
  }

  async #submit(
    exchange: Exchange,
    {
      read,
      model,
      form,
      payloadBytes,
    }: {
      readonly read: InferBody;
      readonly model: ModelInfo;
      readonly form: TensorForm;
      readonly payloadBytes: number;
    },
  ): Promise<void> {
    const names = read.outputs?.map(({ name }) => name);
    const answer = await ask(this.#parts, exchange, {
      task: model.task,
      model: model.name,
      class: read.class,
      tenant: read.tenant,
      timeoutMs: read.timeoutMs,
      payloadBytes,
      fields: {
        [form.inputs]: read.inputs,
        ...(names === undefined ? {} : { [form.outputs]: names }),
      },
    });
    const [value] = valuesOf(answer);
    if (value === undefined) throw new Error("an infer request has one input");
    const answered = { model: model.name, version: onlyVersion, read };
    const whole = await inferReply(value, answered);
    // Making it may have taken a while.
    if (!exchange.departed.aborted) exchange.reply(whole);
  }
}

const serverMetadata = {
  name: "millrace",
  version,
  extensions: ["binary_tensor_data", "schedule_policy"],
};

function modelMetadata({ name, family, inputs, outputs, task }: ModelInfo): object {
  if (inputs === undefined || outputs === undefined) {
    const message = `model ${name} has no tensors to tell of: it is served at /v1/${task}`;
    throw new MillraceError("bad_request", message);
  }
  return { name, versions: [onlyVersion], platform: `${family}_onnxruntime`, inputs, outputs };
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
