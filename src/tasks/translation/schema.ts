/** What `translate` takes and gives, as JSON Schema; fields.ts reads it, and a test holds the two together. */
import { translateLimits } from "millrace-client/wire";
import { generationLimits } from "../../work/generation.js";
import {
  countSchema,
  described,
  flagSchema,
  listSchema,
  numberSchema,
  objectSchema,
  oneOrManySchema,
  textSchema,
} from "../../work/json-schema.js";
import type { TaskSchema } from "../../work/task-form.js";

const beams = { type: "integer", minimum: 1, maximum: translateLimits.beamsMax };
const { lengthPenaltyMax } = generationLimits;
const tokenIds = listSchema({ type: "integer", minimum: 0, maximum: 0x7fffffff }, { minItems: 1 });

export const translateSchema: TaskSchema = {
  fields: {
    texts: described(oneOrManySchema(textSchema), "Sentences, paragraphs or pages."),
    tokenIds: described(
      listSchema(tokenIds, { minItems: 1 }),
      "Instead of `texts`: ids of the model's own tokenizer, end token included.",
    ),
    beams: described(beams, "Hypotheses that the search keeps; 1 is greedy. Default: the model's."),
    lengthPenalty: { type: "number", minimum: -lengthPenaltyMax, maximum: lengthPenaltyMax },
    maxLength: described(
      { type: "integer", minimum: 2, maximum: 1_000_000 },
      "Longest output in tokens. Default: the model's.",
    ),
    nBest: described(beams, "Alternatives that are returned, at most `beams`. Default: 1."),
    truncate: described(flagSchema, "Cut what is too long instead of refusing it. Default: false."),
    split: described(flagSchema, "Split into sentences, and join them again. Default: true."),
    padded: described(
      flagSchema,
      "The lists of `tokenIds` end with the model's pad token, which is taken off. Default: false.",
    ),
  },
  required: [],
  oneOf: ["texts", "tokenIds"],
  result: objectSchema(
    {
      text: textSchema,
      score: numberSchema,
      inputTokens: countSchema,
      outputTokens: countSchema,
      sentences: countSchema,
    },
    {
      alternatives: listSchema(objectSchema({ text: textSchema, score: numberSchema })),
      truncated: { const: true },
    },
  ),
  example: { texts: ["Where is the station?", "Good morning!"], beams: 4 },
};
