/**
 * READ FIRST of this folder. Hugging Face's Inference API, as `@huggingface/inference` and `huggingface_hub` speak it: the model stands
 * in the path, and what it is for says what its inputs are.
 *
 *   /models/NAME                         /models/NAME/pipeline/feature-extraction        the client's own paths
 *   /pipeline/feature-extraction/NAME                                                    those of older ones
 *
 * The body is `{"inputs", "parameters", "options"}` (body.ts), or a picture.
 */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import type { Exchange, HttpFront, Reply, Route } from "../../listen/http/http-front.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { type BodyShape, usualBody } from "../../work/json-object.js";
import { modelsOf } from "../callers-models.js";
import type { Front, FrontParts } from "../front.js";
import { schemaOf, withJsonOf } from "../json-body.js";
import { mediaTypeOf } from "../media-type.js";
import { type FieldNames, renamedFields } from "../renamed-fields.js";
import { withBody } from "../with-body.js";
import { type Asked, answerBytes, answerJson, takesPictures } from "./answers.js";
import { huggingfaceBody } from "./body.js";
import { huggingfaceError, huggingfaceErrorSchema } from "./errors.js";

export function openHuggingfaceFront(parts: FrontParts): Front {
  return { http: new HuggingfaceFront(parts) };
}

const names: FieldNames = [
  ["texts", "inputs"],
  ["images", "inputs"],
  ["topK", "parameters.top_k"],
  ["beams", "parameters.num_beams"],
  ["maxLength", "parameters.max_length"],
  ["lengthPenalty", "parameters.length_penalty"],
];

class HuggingfaceFront implements HttpFront {
  readonly name = "huggingface";
  readonly routes: readonly Route[];
  readonly pathPrefixes: readonly string[] = ["/models/", "/pipeline/"];
  readonly errorSchema = huggingfaceErrorSchema;
  readonly #parts: FrontParts;
  readonly #shape: BodyShape;

  constructor(parts: FrontParts) {
    this.#parts = parts;
    // A pair is an object of two keys, and there may be as many as inputs.
    const keysMax = usualBody.keysMax + 2 * parts.options.requestInputsMax;
    this.#shape = { ...usualBody, keysMax };
    const route = (path: string, read: (rest: string) => Named): Route => ({
      path,
      method: "POST",
      doc: {
        summary: "What the model is for, as Hugging Face's Inference API has it",
        request: {
          "application/json": schemaOf(huggingfaceBody),
          "image/*": { type: "string", format: "binary" },
        },
        reply: {
          "application/json": {
            type: "array",
            description: "Vectors, labels with scores, similarities or translations.",
          },
        },
      },
      handler: (exchange) => this.#answer(exchange, read(exchange.params["rest"] ?? "")),
    });
    this.routes = [route("/models/*", namedFirst), route("/pipeline/*", namedLast)];
  }

  renderError(error: MillraceError): Reply {
    return huggingfaceError(error);
  }

  async #answer(exchange: Exchange, { name, pipeline }: Named): Promise<void> {
    const { views, options } = this.#parts;
    refuseWhileDraining(views);
    const asked: Asked = { model: modelOf(modelsOf(views, exchange.caller), name), pipeline };
    try {
      if (takesPictures(asked.model) && mediaTypeOf(exchange) !== "application/json") {
        await this.#answerBytes(exchange, asked, options.imageBodyBytesMax);
        return;
      }
      await withJsonOf(exchange, { schema: huggingfaceBody, shape: this.#shape }, (body) =>
        answerJson(exchange, this.#parts, { ...asked, ...body }),
      );
    } catch (thrown) {
      throw renamedFields(thrown, names);
    }
  }

  async #answerBytes(exchange: Exchange, asked: Asked, bytesMax: number): Promise<void> {
    await withBody(exchange, {
      bytesMax,
      read: (body) => body.buffer(),
      answer: (bytes) => answerBytes(exchange, this.#parts, { ...asked, bytes }),
    });
  }
}

interface Named {
  readonly name: string;
  readonly pipeline: string | null;
}

/** `NAME`, or `NAME/pipeline/TASK`; a name may have slashes of its own. */
function namedFirst(rest: string): Named {
  const [, name = rest, pipeline = null] = /^(.+)\/pipeline\/([^/]+)$/.exec(rest) ?? [];
  return { name, pipeline };
}

/** `TASK/NAME`. */
function namedLast(rest: string): Named {
  const slash = rest.indexOf("/");
  if (slash === -1) return { name: "", pipeline: rest };
  return { name: rest.slice(slash + 1), pipeline: rest.slice(0, slash) };
}

/** Under its own name, or its owner's in front of it: folders are seldom called `owner/name`. */
function modelOf(models: readonly ModelInfo[], name: string): ModelInfo {
  const short = name.slice(name.lastIndexOf("/") + 1);
  const found =
    models.find((each) => each.name === name) ?? models.find((each) => each.name === short);
  if (found !== undefined) return found;
  const message = `Model ${name} does not exist`;
  throw new MillraceError("model_not_found", message, { param: "model" });
}
