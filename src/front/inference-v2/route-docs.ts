/** What the description of all routes (OpenAPI) says of these; infer-body.ts reads the messages, and a test holds live replies to the schemas. */
import { tensorDatatypes, tensorLimits } from "millrace-client/wire";
import type { Route, RouteDoc } from "../../listen/http/http-front.js";
import {
  countSchema,
  described,
  flagSchema,
  listSchema,
  objectSchema,
  recordSchema,
  textSchema,
  titled,
} from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";

const json = "application/json";
/** JSON, and raw tensors behind it. */
const binary = "application/octet-stream";

export const inferErrorSchema: JsonObject = objectSchema({ error: textSchema });

const datatype = { enum: tensorDatatypes };
const shape = listSchema(countSchema, { maxItems: tensorLimits.dimensionsMax });
const parameters = recordSchema({ type: ["boolean", "number", "string", "null"] });
const data = described({ type: "array" }, "Flat in row-major order, or nested as the shape says.");
const tensorMetadata = objectSchema({
  name: textSchema,
  datatype,
  shape: listSchema({ type: "integer", minimum: -1 }),
});

const inferRequest = titled("InferenceRequest", {
  ...objectSchema(
    {
      inputs: listSchema(
        objectSchema({ name: textSchema, shape, datatype }, { data, parameters }),
        { maxItems: tensorLimits.tensorsMax },
      ),
    },
    {
      id: textSchema,
      parameters: described(
        parameters,
        "`priority` (1 is the highest), `timeout` in microseconds, `tenant`, `binary_data_output`.",
      ),
      outputs: listSchema(objectSchema({ name: textSchema }, { parameters })),
      model_name: textSchema,
      model_version: textSchema,
    },
  ),
  additionalProperties: false,
  examples: [{ inputs: [{ name: "at", datatype: "INT64", shape: [2], data: [3, 1] }] }],
});

const inferResponse = titled(
  "InferenceResponse",
  objectSchema(
    {
      model_name: textSchema,
      model_version: textSchema,
      outputs: listSchema(
        objectSchema({ name: textSchema, datatype, shape }, { data, parameters }),
      ),
    },
    { id: textSchema },
  ),
);

/** By how the path ends: each is there with and without a version. */
const docs: readonly (readonly [end: RegExp, doc: RouteDoc])[] = [
  [
    /^\/v2$/,
    reply(
      "The server, in this protocol",
      objectSchema({ name: textSchema, version: textSchema, extensions: listSchema(textSchema) }),
    ),
  ],
  [/\/health\/live$/, reply("Whether the server answers", objectSchema({ live: flagSchema }))],
  [/\/health\/ready$/, readiness("Whether work is taken", objectSchema({ ready: flagSchema }))],
  [
    /\/ready$/,
    readiness("Whether a model is ready", objectSchema({ name: textSchema, ready: flagSchema })),
  ],
  [
    /\/infer$/,
    {
      summary: "Named tensors in, named tensors out",
      request: { [json]: inferRequest, [binary]: {} },
      reply: { [json]: inferResponse, [binary]: {} },
    },
  ],
  [
    /\}$/,
    reply(
      "What a model takes and gives",
      objectSchema({
        name: textSchema,
        versions: listSchema(textSchema),
        platform: textSchema,
        inputs: listSchema(tensorMetadata),
        outputs: listSchema(tensorMetadata),
      }),
    ),
  ],
];

/** A route that has its own keeps it. */
export function withDocs(routes: readonly Route[]): readonly Route[] {
  return routes.map((route) => {
    const [, doc] = docs.find(([end]) => end.test(route.path)) ?? [];
    return doc === undefined ? route : { doc, ...route };
  });
}

function reply(summary: string, schema: JsonObject): RouteDoc {
  return { summary, reply: { [json]: schema } };
}

function readiness(summary: string, schema: JsonObject): RouteDoc {
  return { ...reply(summary, schema), sameBody: [503] };
}
