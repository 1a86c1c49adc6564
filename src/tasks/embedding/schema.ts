/** What `embed` takes and gives, as JSON Schema; fields.ts reads it, and a test holds the two together. */
import { embedPoolings } from "millrace-client/wire";
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

const vector = listSchema(numberSchema);

export const embedSchema: TaskSchema = {
  fields: {
    texts: oneOrManySchema(textSchema),
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
  },
  required: ["texts"],
  result: objectSchema(
    { embedding: { anyOf: [vector, listSchema(vector), textSchema] }, inputTokens: countSchema },
    { truncated: { const: true } },
  ),
  example: { texts: ["a cat on a roof", "tea for two"], normalize: true },
};
