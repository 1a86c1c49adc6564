/** What `ocr` takes and gives, as JSON Schema; a test holds it and the fields together. */
import {
  countSchema,
  described,
  listSchema,
  numberSchema,
  objectSchema,
  oneOrManySchema,
  textSchema,
  wireErrorSchema,
} from "../../work/json-schema.js";
import type { TaskSchema } from "../../work/task-form.js";

const point = listSchema(numberSchema, { minItems: 2, maxItems: 2 });
const box = described(
  listSchema(point, { minItems: 4, maxItems: 4 }),
  "Corners, clockwise from where the first character begins on top.",
);

export const ocrSchema: TaskSchema = {
  fields: {
    images: described(
      oneOrManySchema({ type: "string", contentEncoding: "base64", minLength: 4 }),
      "Picture files: JPEG, PNG, WebP, GIF or TIFF.",
    ),
  },
  required: ["images"],
  result: objectSchema(
    {
      width: countSchema,
      height: countSchema,
      lines: listSchema(objectSchema({ text: textSchema, score: numberSchema, box })),
    },
    { failedLines: listSchema(objectSchema({ error: wireErrorSchema, box })) },
  ),
  example: { images: ["/9j/4AAQSkZJRg=="] },
};
