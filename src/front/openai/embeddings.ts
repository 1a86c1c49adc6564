/** `POST /v1/embeddings`: texts, or lists of token ids, → vectors as lists of numbers or in base64. */
import { z } from "zod";
import type { Exchange, RouteDoc } from "../../listen/http/http-front.js";
import type { SubmitOutcome } from "../../submit/submit.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { badField, kindOf } from "../../work/fields.js";
import type { Payload } from "../../work/payload.js";
import { askEach, valueOf } from "../ask.js";
import type { FrontParts } from "../front.js";
import { type ReadBody, schemaOf, withJson } from "../json-body.js";
import { type FieldNames, renamedFields } from "../renamed-fields.js";
import { vectorText } from "../vectors.js";

const tokens = { type: "array", minItems: 1, items: { type: "integer", minimum: 0 } };
const forms = {
  description:
    "A text, a list of texts, the token ids of one text, or lists of token ids. Ids are the model's own and are taken as they are, special tokens included.",
  anyOf: [
    { type: "string" },
    { type: "array", minItems: 1, items: { type: "string" } },
    tokens,
    { type: "array", minItems: 1, items: tokens },
  ],
};

/**
 * `input` is looked at by hand, below and by the task: a schema would hold each of ten thousand ids against four forms, which takes
 * some 40 ms instead of 2, and everybody else would wait meanwhile.
 */
const request = z.strictObject({
  input: z.unknown().meta(forms),
  model: z.string().min(1).max(256).nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
  dimensions: z.int().min(1).nullish(),
  user: z.string().nullish().meta({ description: "Accepted, and not used." }),
});

type EmbeddingsRequest = z.infer<typeof request>;

export const embeddingsDoc: RouteDoc = {
  summary: "Vectors of texts, as OpenAI's clients ask for them",
  request: { "application/json": schemaOf(request) },
  reply: {
    "application/json": {
      type: "object",
      required: ["object", "data", "model", "usage"],
      properties: {
        object: { const: "list" },
        data: {
          type: "array",
          items: {
            type: "object",
            required: ["object", "index", "embedding"],
            properties: {
              object: { const: "embedding" },
              index: { type: "integer", minimum: 0 },
              embedding: {
                description: "Numbers, or base64 of float32 in little-endian order.",
                oneOf: [{ type: "array", items: { type: "number" } }, { type: "string" }],
              },
            },
          },
        },
        model: { type: "string" },
        usage: {
          type: "object",
          required: ["prompt_tokens", "total_tokens"],
          properties: {
            prompt_tokens: { type: "integer", minimum: 0 },
            total_tokens: { type: "integer", minimum: 0 },
          },
        },
      },
    },
  },
};

export async function answerEmbeddings(exchange: Exchange, parts: FrontParts): Promise<void> {
  refuseWhileDraining(parts.views);
  await withJson(exchange, request, (body) => embed(exchange, parts, body));
}

async function embed(
  exchange: Exchange,
  parts: FrontParts,
  { value: sent, bytes: payloadBytes }: ReadBody<EmbeddingsRequest>,
): Promise<void> {
  const { names, isOne, ...inputs } = readInput(sent.input);
  const { dimensions, model = null } = sent;
  // Text as they come: half of the memory, and no pause at the end in which all of them become text.
  const data: string[] = [];
  let tokens = 0;
  const onOutcome = ({ index, outcome }: SubmitOutcome): void => {
    const value = valueOf(outcome, isOne ? "input" : `input[${index}]`);
    tokens += Number(value.values["inputTokens"]);
    data[index] = `{"object":"embedding","index":${index},"embedding":${vectorJson(value)}}`;
  };
  try {
    const summary = await askEach(parts, exchange, {
      task: "embed",
      model,
      payloadBytes,
      fields: {
        ...inputs,
        encoding: sent.encoding_format ?? "float",
        ...(dimensions == null ? {} : { dimensions }),
      },
      onOutcome,
    });
    const usage = { prompt_tokens: tokens, total_tokens: tokens };
    const rest = JSON.stringify({ model: summary.model, usage }).slice(1);
    exchange.reply({
      status: 200,
      contentType: "application/json",
      body: `{"object":"list","data":[${data.join(",")}],${rest}`,
      headers: { "openai-processing-ms": String(Math.round(summary.timings.totalMs)) },
    });
  } catch (thrown) {
    throw renamedFields(thrown, names);
  }
}

/** `names`: how errors call what was sent; `isOne`: it is no list of inputs. */
type Inputs = { readonly names: FieldNames; readonly isOne: boolean } & (
  | { readonly texts: string | readonly string[] }
  | { readonly tokenIds: readonly unknown[] }
);

/** By what comes first; the task looks at each id. @throws MillraceError `bad_request` */
function readInput(input: unknown): Inputs {
  if (typeof input === "string") {
    return { texts: input, isOne: true, names: [["texts[0]", "input"]] };
  }
  if (!Array.isArray(input)) {
    const what = `must be a text, a list of texts, or token ids, not ${kindOf(input)}`;
    throw badField("input", input === undefined ? "is missing" : what);
  }
  const list: readonly unknown[] = input;
  const [first] = list;
  if (typeof first === "number") {
    return { tokenIds: [list], isOne: true, names: [["tokenIds[0]", "input"]] };
  }
  if (Array.isArray(first)) return { tokenIds: list, isOne: false, names: [["tokenIds", "input"]] };
  const wrong = list.findIndex((each) => typeof each !== "string");
  if (wrong === -1) {
    return { texts: list as readonly string[], isOne: false, names: [["texts", "input"]] };
  }
  throw badField(`input[${wrong}]`, `must be a text, not ${kindOf(list[wrong])}`);
}

/** Base64 is a text already. */
function vectorJson(value: Payload): string {
  const { embedding } = value.values;
  return embedding === undefined ? vectorText(value) : JSON.stringify(embedding);
}
