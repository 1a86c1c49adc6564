/** What `classify` takes and gives, as JSON Schema; a test holds it and the fields together. */
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

const base64 = { type: "string", contentEncoding: "base64", minLength: 4 };

export const classifySchema: TaskSchema = {
  fields: {
    texts: described(
      oneOrManySchema(textSchema, { anyOf: [textSchema, textPairSchema] }),
      "Texts, or pairs of texts inside a list, as the model takes.",
    ),
    images: described(oneOrManySchema(base64), "Instead of `texts`: picture files."),
    topK: described(
      { type: "integer", minimum: 1, maximum: 100_000 },
      "Only so many labels. Default: all.",
    ),
    raw: described(flagSchema, "Adds `logits`. Default: false."),
    truncate: described(flagSchema, "Cut what is too long instead of refusing it. Default: false."),
    truncateFrom: described({ enum: truncateEnds }, "At which end it is cut. Default: end."),
  },
  required: [],
  oneOf: ["texts", "images"],
  result: objectSchema(
    { labels: listSchema(objectSchema({ label: textSchema, score: numberSchema })) },
    {
      logits: listSchema(numberSchema),
      inputTokens: countSchema,
      truncated: { const: true },
    },
  ),
  example: { texts: ["What a day!"], topK: 1 },
};
