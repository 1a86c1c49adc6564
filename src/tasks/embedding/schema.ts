/** What `embed` takes and gives, as JSON Schema; fields.ts reads it, and a test holds the two together. */
import { embedPoolings } from "millrace-client/wire";
import { truncateEnds } from "../../prepare/text/encoder-texts.js";
import {
  countSchema,
  described,
  flagSchema,
  listSchema,
  numberSchema,
  objectSchema,
  oneOrManySchema,
  textPairSchema,
  textSchema,
} from "../../work/json-schema.js";
import type { TaskSchema } from "../../work/task-form.js";

const tokenIds = listSchema({ type: "integer", minimum: 0, maximum: 0x7fffffff }, { minItems: 1 });
const tokens = listSchema(textSchema);
const vector = listSchema(numberSchema);

export const embedSchema: TaskSchema = {
  fields: {
    texts: described(
      oneOrManySchema(textSchema, { anyOf: [textSchema, textPairSchema] }),
      "Texts, or pairs of texts inside a list.",
    ),
    tokenIds: described(
      listSchema(tokenIds, { minItems: 1 }),
      "Instead of `texts`: ids of the model's own tokenizer, special tokens included; taken as they are.",
    ),
    tokens: described(
      listSchema(
        { anyOf: [tokens, listSchema(tokens, { minItems: 2, maxItems: 2 })] },
        { minItems: 1 },
      ),
      "Instead of `texts`: tokens of the model's vocabulary, of each text or of both of a pair; special tokens are added.",
    ),
    pooling: described(
      { enum: embedPoolings },
      "What becomes of the vectors of a text's tokens; `none` gives all of them. Default: the model's.",
    ),
    layer: described(
      { type: "integer", minimum: -10_000, maximum: -1 },
      "Of the hidden states, from the last: -1 is the last layer. Default: -1.",
    ),
    normalize: described(flagSchema, "Each vector divided by its length. Default: the model's."),
    dimensions: described(
      { type: "integer", minimum: 1, maximum: 1_000_000 },
      "Only the first so many, divided by their length again where `normalize` holds. Default: all.",
    ),
    encoding: described(
      { enum: ["float", "base64"] },
      "base64: of float32 in little-endian order. Default: float.",
    ),
    truncate: described(flagSchema, "Cut what is too long instead of refusing it. Default: false."),
    truncateFrom: described({ enum: truncateEnds }, "At which end it is cut. Default: end."),
    maxTokens: described(
      { type: "integer", minimum: 1, maximum: 10_000_000 },
      "An input with more is too long, special tokens counted. Default, and at most: what the model takes.",
    ),
    returnTokens: described(flagSchema, "Adds `tokens`. Default: false."),
    maskSpecial: described(
      flagSchema,
      "Special tokens have no weight in the poolings mean, max and mean-max. Default: false.",
    ),
  },
  required: [],
  oneOf: ["texts", "tokenIds", "tokens"],
  result: objectSchema(
    { embedding: { anyOf: [vector, listSchema(vector), textSchema] }, inputTokens: countSchema },
    { truncated: { const: true }, tokens: listSchema(textSchema) },
  ),
  example: { texts: ["a cat on a roof", "tea for two"], normalize: true },
};
