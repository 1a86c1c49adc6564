/** What `rerank` takes and gives, as JSON Schema; a test holds it and the fields together. */
import { truncateEnds } from "../../prepare/text/encoder-texts.js";
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

const pair = listSchema(textSchema, { minItems: 2, maxItems: 2 });

export const rerankSchema: TaskSchema = {
  fields: {
    query: described(
      textSchema,
      "Makes a pair with each text; left out where the texts are pairs.",
    ),
    texts: oneOrManySchema(textSchema, { anyOf: [textSchema, pair] }),
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
