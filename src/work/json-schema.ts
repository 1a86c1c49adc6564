/**
 * JSON Schema (draft 2020-12) in a few words, for the description of the routes. What has a `title` is written once in that
 * description, and named elsewhere.
 */
import { errorRegistry } from "millrace-client/wire";
import type { JsonObject } from "./payload.js";

type Properties = Readonly<Record<string, JsonObject>>;

export const textSchema: JsonObject = { type: "string" };
export const numberSchema: JsonObject = { type: "number" };
export const countSchema: JsonObject = { type: "integer", minimum: 0 };
export const flagSchema: JsonObject = { type: "boolean" };
export const nullableTextSchema: JsonObject = { type: ["string", "null"] };

/** Others may come beside these: a reply grows with the versions. */
export function objectSchema(required: Properties, optional: Properties = {}): JsonObject {
  return {
    type: "object",
    required: Object.keys(required),
    properties: { ...required, ...optional },
  };
}

export function listSchema(items: JsonObject, bounds: JsonObject = {}): JsonObject {
  return { type: "array", ...bounds, items };
}

export function recordSchema(values: JsonObject): JsonObject {
  return { type: "object", additionalProperties: values };
}

export const textPairSchema: JsonObject = listSchema(textSchema, { minItems: 2, maxItems: 2 });

/** One by itself, or a list of them. */
export function oneOrManySchema(each: JsonObject, inList: JsonObject = each): JsonObject {
  return { anyOf: [each, listSchema(inList, { minItems: 1 })] };
}

export function described(schema: JsonObject, description: string): JsonObject {
  return { ...schema, description };
}

export function titled(title: string, schema: JsonObject): JsonObject {
  return { title, ...schema };
}

export const wireErrorSchema: JsonObject = titled(
  "Error",
  objectSchema(
    {
      code: { enum: Object.keys(errorRegistry) },
      message: textSchema,
      retryable: described(flagSchema, "The same may succeed when it is sent again later."),
    },
    { param: described(textSchema, "The field that is wrong, as `texts[3]`.") },
  ),
);
