/** What `infer` takes and gives, as JSON Schema; fields.ts reads it, and a test holds the two together. */
import { tensorDatatypes, tensorLimits } from "millrace-client/wire";
import {
  countSchema,
  described,
  listSchema,
  objectSchema,
  recordSchema,
  textSchema,
} from "../../work/json-schema.js";
import type { TaskSchema } from "../../work/task-form.js";

const datatype = { enum: tensorDatatypes };
const shape = listSchema(countSchema, { maxItems: tensorLimits.dimensionsMax });
const element = { type: ["number", "boolean", "string"] };
const content = described(
  { type: ["number", "boolean", "string", "array"] },
  "Flat in row-major order, or nested as the shape says; a scalar stands alone.",
);

export const inferSchema: TaskSchema = {
  fields: {
    inputs: described(
      recordSchema({ anyOf: [objectSchema({ data: content }, { datatype, shape }), content] }),
      "Every input of the model, by its name.",
    ),
    outputs: described(
      listSchema(textSchema, { minItems: 1 }),
      "Names of those that are wanted. Default: all.",
    ),
  },
  required: ["inputs"],
  result: objectSchema({
    outputs: recordSchema(
      objectSchema({
        datatype,
        shape,
        data: listSchema({ anyOf: [element, { type: "null" }] }),
      }),
    ),
  }),
  example: { inputs: { ids: { datatype: "INT64", data: [[1, 2, 3]] } }, outputs: ["scores"] },
};
