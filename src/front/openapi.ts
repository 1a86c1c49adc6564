/**
 * The description of all routes over HTTP, as an OpenAPI 3.1 document: made of what each front says of its routes, and of its
 * errors. A schema with a title stands once, under `components`.
 */
import { isDeepStrictEqual } from "node:util";
import type { HttpFront, Route, RouteDoc } from "../listen/http/http-front.js";
import { isJsonObject, type JsonObject, type JsonValue } from "../work/payload.js";

/** Routes of which nothing is said are left out. Where two fronts have one route it is the first one's, as in the router. */
export function openApiDocument(fronts: readonly HttpFront[], version: string): JsonObject {
  const components: Record<string, JsonValue> = {};
  const paths: Record<string, Record<string, JsonValue>> = {};
  const taken = new Set<string>();
  for (const front of fronts) {
    for (const route of front.routes) {
      const key = `${route.method} ${route.path.replace(/\{[^}]*\}/g, "{}")}`;
      if (route.doc === undefined || taken.has(key)) continue;
      taken.add(key);
      const path = route.path.replace(/\*$/, "{rest}");
      const operation = operationOf(front, path, { ...route, doc: route.doc });
      paths[path] = {
        ...paths[path],
        [route.method.toLowerCase()]: withReferences(operation, components),
      };
    }
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Millrace",
      version,
      description: "Every protocol over HTTP that this server speaks; each has a tag.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: fronts.map(({ name }) => ({ name })),
    paths,
    components: { schemas: components, securitySchemes },
  };
}

/** A key, where the server asks for one, in any of these ways. */
const securitySchemes: JsonObject = {
  bearer: { type: "http", scheme: "bearer" },
  xApiKey: { type: "apiKey", in: "header", name: "x-api-key" },
  apiKey: { type: "apiKey", in: "header", name: "api-key" },
  deepL: {
    type: "apiKey",
    in: "header",
    name: "authorization",
    description: "`DeepL-Auth-Key KEY`",
  },
};

function operationOf(
  { name, errorSchema }: HttpFront,
  path: string,
  { method, access = "key", doc }: Route & { readonly doc: RouteDoc },
): JsonObject {
  const { summary, query = {}, request, reply, sameBody = [] } = doc;
  const parameters = [
    ...[...path.matchAll(/\{([^}]+)\}/g)].map(([, each = ""]) => ({
      name: each,
      in: "path",
      required: true,
      schema: { type: "string" },
    })),
    ...Object.entries(query).map(([each, said]) => ({ name: each, in: "query", ...said })),
  ];
  const whole = { description: "The answer.", content: contentOf(reply) };
  const isWebSocket = Object.keys(reply).length === 0;
  const errors =
    errorSchema === undefined ? {} : { content: contentOf({ "application/json": errorSchema }) };
  return {
    operationId: operationId(method, path),
    tags: [name],
    summary: access === "admin" ? `${summary}. For keys that may administrate.` : summary,
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(request === undefined
      ? {}
      : { requestBody: { required: true, content: contentOf(request) } }),
    responses: {
      ...(isWebSocket
        ? { "101": { description: "From here on it is a WebSocket." } }
        : { "200": whole }),
      ...Object.fromEntries(
        sameBody.map((status) => [
          String(status),
          { ...whole, description: "The same, for another reason." },
        ]),
      ),
      default: { description: "An error, in this protocol's words.", ...errors },
    },
    // Nobody is asked for a key where the server has none.
    security:
      access === "open"
        ? []
        : [{}, ...Object.keys(securitySchemes).map((each) => ({ [each]: [] }))],
  };
}

/** `post_v2_models_model_infer` */
function operationId(method: string, path: string): string {
  const words = path.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  return [method.toLowerCase(), ...words].join("_");
}

function contentOf(schemas: Readonly<Record<string, JsonObject>>): JsonObject {
  return Object.fromEntries(Object.entries(schemas).map(([type, schema]) => [type, { schema }]));
}

/** Puts schemas that have a title under `components`, and references where they were. */
function withReferences(value: JsonValue, components: Record<string, JsonValue>): JsonValue {
  if (Array.isArray(value)) {
    return (value as readonly JsonValue[]).map((each) => withReferences(each, components));
  }
  if (!isJsonObject(value)) return value;
  const { title } = value;
  const whole = Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, withReferences(each, components)]),
  );
  // A field of some message may be called `title` as well: its schema is no text.
  if (typeof title !== "string") return whole;
  const known = components[title];
  if (known !== undefined && !isDeepStrictEqual(known, whole)) {
    throw new Error(`OpenAPI: two schemas have the title ${title}`);
  }
  components[title] = whole;
  return { $ref: `#/components/schemas/${title}` };
}
