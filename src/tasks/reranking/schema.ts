/** What `rerank` takes and gives, as JSON Schema; a test holds it and the fields together. */
import { truncateEnds } from "../../prepare/text/encoder-texts.js";
import {
  countSchema,
  described,
  flagSchema,
  numberSchema,
  objectSchema,
  oneOrManySchema,
  textPairSchema,
  textSchema,
} from "../../work/json-schema.js";
import type { TaskSchema } from "../../work/task-form.js";

export const rerankSchema: TaskSchema = {
  fields: {
    query: described(
      textSchema,
      "Makes a pair with each text; left out where the texts are pairs.",
    ),
    texts: oneOrManySchema(textSchema, { anyOf: [textSchema, textPairSchema] }),
    raw: described(flagSchema, "Adds `logit`. Default: false."),
    truncate: described(flagSchema, "Cut what is too long instead of refusing it. Default: false."),
    truncateFrom: described({ enum: truncateEnds }, "At which end it is cut. Default: end."),
  },
  required: ["texts"],
  result: objectSchema(
    { score: numberSchema, inputTokens: countSchema },
    { logit: numberSchema, truncated: { const: true } },
  ),
  example: { query: "How tall is it?", texts: ["Some 300 metres.", "It is red."] },
};
