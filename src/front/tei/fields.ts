/** What requests of several routes say: inputs in all their forms, and how what is too long is cut. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { badField, kindOf } from "../../work/fields.js";
import type { JsonObject } from "../../work/payload.js";
import { textList, textOrTexts } from "../json-body.js";
import type { FieldNames } from "../renamed-fields.js";

/** Whoever wrote `texts[3]` below was sent `inputs[3]`. */
export const inputNames: FieldNames = [
  ["texts", "inputs"],
  ["tokenIds", "inputs"],
  ["truncateFrom", "truncation_direction"],
];

/** `Left`: the beginning goes. */
type Direction = "Left" | "left" | "Right" | "right";

interface Cut {
  readonly truncate?: boolean | null | undefined;
  readonly truncation_direction?: Direction | null | undefined;
}

interface Prompted {
  readonly prompt_name?: string | null | undefined;
}

export interface EmbedAllBody extends Cut, Prompted {
  readonly inputs?: unknown;
}

export interface EmbedBody extends EmbedAllBody {
  readonly normalize?: boolean | undefined;
  readonly dimensions?: number | null | undefined;
}

export interface SimilarityBody {
  readonly inputs: { readonly source_sentence: string; readonly sentences: readonly string[] };
  readonly parameters?: (Cut & Prompted) | null | undefined;
}

export interface PredictBody extends Cut {
  readonly inputs?: unknown;
  readonly raw_scores?: boolean | undefined;
}

export interface RerankBody extends Cut {
  readonly query: string;
  readonly texts: readonly string[];
  readonly raw_scores?: boolean | undefined;
  readonly return_text?: boolean | undefined;
}

export interface TokenizeBody extends Prompted {
  readonly inputs: string | readonly string[];
  readonly add_special_tokens?: boolean | undefined;
}

export interface DecodeBody {
  readonly ids?: unknown;
  readonly skip_special_tokens?: boolean | undefined;
}

const cut = {
  truncate: z.boolean().nullish().meta({ description: "Default: false, as `auto_truncate` says." }),
  truncation_direction: z
    .enum(["Left", "left", "Right", "right"])
    .nullish()
    .meta({ description: "The end at which it is cut. Default: Right." }),
};

const promptName = z
  .string()
  .nullish()
  .meta({ description: "No model of Millrace has prompts: it is refused." });

/** Held against by hand, below and by the task: a schema would look at each of ten thousand ids four times. */
const textsOrIds = z.unknown().meta({
  description: "A text, texts, the token ids of one text, or lists of token ids.",
  anyOf: [
    { type: "string" },
    { type: "array", minItems: 1, items: { type: "string" } },
    { type: "array", minItems: 1, items: { type: "integer", minimum: 0 } },
    {
      type: "array",
      minItems: 1,
      items: { type: "array", minItems: 1, items: { type: "integer", minimum: 0 } },
    },
  ],
});

export const embedRequest: z.ZodType<EmbedBody> = z.object({
  inputs: textsOrIds,
  ...cut,
  prompt_name: promptName,
  normalize: z.boolean().optional().meta({ description: "Default: true." }),
  dimensions: z.int().min(1).nullish(),
});

export const embedAllRequest: z.ZodType<EmbedAllBody> = z.object({
  inputs: textsOrIds,
  ...cut,
  prompt_name: promptName,
});

export const similarityRequest: z.ZodType<SimilarityBody> = z.object({
  inputs: z.object({ source_sentence: z.string(), sentences: textList }),
  parameters: z.object({ ...cut, prompt_name: promptName }).nullish(),
});

export const predictRequest: z.ZodType<PredictBody> = z.object({
  inputs: z.unknown().meta({
    description: 'A text; a pair `["a", "b"]`; or a list of `["text"]` and `["a", "b"]`.',
    anyOf: [
      { type: "string" },
      { type: "array", minItems: 1, maxItems: 2, items: { type: "string" } },
      {
        type: "array",
        minItems: 1,
        items: { type: "array", minItems: 1, maxItems: 2, items: { type: "string" } },
      },
    ],
  }),
  ...cut,
  raw_scores: z.boolean().optional().meta({ description: "Logits. Default: false." }),
});

export const rerankRequest: z.ZodType<RerankBody> = z.object({
  query: z.string(),
  texts: textList,
  ...cut,
  raw_scores: z.boolean().optional().meta({ description: "Logits. Default: false." }),
  return_text: z.boolean().optional().meta({ description: "Default: false." }),
});

export const tokenizeRequest: z.ZodType<TokenizeBody> = z.object({
  inputs: textOrTexts,
  add_special_tokens: z.boolean().optional().meta({ description: "Default: true." }),
  prompt_name: promptName,
});

export const decodeRequest: z.ZodType<DecodeBody> = z.object({
  ids: z.unknown().meta({
    description: "The token ids of a text, or a list of such lists.",
    anyOf: [
      { type: "array", items: { type: "integer", minimum: 0 } },
      { type: "array", items: { type: "array", items: { type: "integer", minimum: 0 } } },
    ],
  }),
  skip_special_tokens: z.boolean().optional().meta({ description: "Default: true." }),
});

export interface VertexBody {
  readonly instances: readonly unknown[];
}

/** What each of them is, the model says. */
export const vertexRequest: z.ZodType<VertexBody> = z.object({
  instances: z.array(z.unknown()).meta({
    description: "Requests as /embed, /predict or /rerank takes them, whichever the model is for.",
  }),
});

export function cutFields({ truncate, truncation_direction: from }: Cut): JsonObject {
  const isLeft = from === "Left" || from === "left";
  return { truncate: truncate ?? false, truncateFrom: isLeft ? "start" : "end" };
}

export function refusePrompt(name: string | null | undefined): void {
  if (name === null || name === undefined) return;
  throw badField("prompt_name", "the model has no prompts");
}

/** As embeddings are asked for: the field, the list, and how many characters (of ids: how many) they are. */
export interface ReadInputs {
  readonly fields:
    | { readonly texts: readonly unknown[] }
    | { readonly tokenIds: readonly unknown[] };
  readonly characters: number;
}

/** What each of a list is, the task looks at. @throws MillraceError `input_empty`, `bad_request` */
export function readInputs(inputs: unknown): ReadInputs {
  if (typeof inputs === "string")
    return { fields: { texts: [inputs] }, characters: countOf(inputs) };
  if (!Array.isArray(inputs)) {
    throw badField("inputs", `must be a text or a list, not ${kindOf(inputs)}`);
  }
  const list: readonly unknown[] = inputs;
  if (list.length === 0) {
    throw new MillraceError("input_empty", "`inputs` cannot be empty", { param: "inputs" });
  }
  if (typeof list[0] === "number") return { fields: { tokenIds: [list] }, characters: list.length };
  if (Array.isArray(list[0])) {
    const characters = list.reduce<number>((sum, ids) => sum + lengthOf(ids), 0);
    return { fields: { tokenIds: list }, characters };
  }
  const characters = list.reduce<number>(
    (sum, text) => sum + (typeof text === "string" ? countOf(text) : 0),
    0,
  );
  return { fields: { texts: list }, characters };
}

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}

/** Code points. */
export function countOf(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    // The second half of a pair is counted with its first.
    if (unit < 0xdc00 || unit > 0xdfff) count += 1;
  }
  return count;
}
