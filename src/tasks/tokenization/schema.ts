/** What `tokenize` and `detokenize` take and give, as JSON Schema; a test holds it and the fields together. */
import {
  countSchema,
  described,
  flagSchema,
  listSchema,
  objectSchema,
  oneOrManySchema,
  textSchema,
} from "../../work/json-schema.js";
import type { TaskSchema } from "../../work/task-form.js";

const place = { type: ["integer", "null"], minimum: 0 };
const tokenIds = listSchema({ type: "integer", minimum: 0, maximum: 0x7fffffff }, { minItems: 1 });

export const tokenizeSchema: TaskSchema = {
  fields: {
    texts: oneOrManySchema(textSchema),
    addSpecial: described(
      flagSchema,
      "With what the model's tokenizer puts around a text. Default: true.",
    ),
  },
  required: ["texts"],
  result: objectSchema({
    tokens: listSchema(
      objectSchema({
        id: countSchema,
        text: textSchema,
        special: flagSchema,
        start: described(place, "In code points; null where it cannot be told."),
        stop: place,
      }),
    ),
  }),
  example: { texts: ["Good morning!"] },
};

export const detokenizeSchema: TaskSchema = {
  fields: {
    tokenIds: listSchema(tokenIds, { minItems: 1 }),
    skipSpecial: described(flagSchema, "Without special tokens. Default: true."),
  },
  required: ["tokenIds"],
  result: objectSchema({ text: textSchema }),
  example: { tokenIds: [[101, 7592, 102]] },
};
