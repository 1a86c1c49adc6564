/** Lists as OpenAI's clients page through them: an object is the cursor for those behind it. */
import { MillraceError } from "millrace-client/wire";
import type { Exchange, RouteDoc } from "../../listen/http/http-front.js";
import { listSchema, nullableTextSchema } from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";

export interface PageAsked {
  readonly limit: number;
  readonly order: "asc" | "desc";
  readonly after?: string;
}

const idCharactersMax = 256;

/** @throws MillraceError `bad_request` */
export function readPage(
  { query }: Pick<Exchange, "query">,
  { usual, most }: { readonly usual: number; readonly most: number },
): PageAsked {
  const limit = query.get("limit") ?? String(usual);
  if (!/^\d{1,9}$/.test(limit) || Number(limit) < 1) {
    throw badQuery("limit", `Invalid 'limit': expected a whole number from 1 to ${most}.`);
  }
  const order = query.get("order") ?? "desc";
  if (order !== "asc" && order !== "desc") {
    throw badQuery("order", "Invalid 'order': supported values are 'asc' and 'desc'.");
  }
  const after = query.get("after");
  if (after !== null && (after === "" || after.length > idCharactersMax)) {
    throw badQuery("after", "Invalid 'after': expected the id of an object of the list.");
  }
  const page = { limit: Math.min(Number(limit), most), order } as const;
  return after === null ? page : { ...page, after };
}

function badQuery(param: string, message: string): MillraceError {
  return new MillraceError("bad_request", message, { param });
}

/** An object of a list. */
export type Listed = JsonObject & { readonly id: string };

/** `found`: one more than was asked for, where there are more. */
export function pageJson(found: readonly Listed[], { limit }: PageAsked): string {
  const data = found.slice(0, limit);
  return JSON.stringify({
    object: "list",
    data,
    has_more: found.length > limit,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  });
}

export function pageSchema(items: JsonObject): JsonObject {
  return {
    type: "object",
    required: ["object", "data", "has_more", "first_id", "last_id"],
    properties: {
      object: { const: "list" },
      data: listSchema(items),
      has_more: { type: "boolean" },
      first_id: nullableTextSchema,
      last_id: nullableTextSchema,
    },
  };
}

export const pageQuery: NonNullable<RouteDoc["query"]> = {
  limit: { schema: { type: "integer", minimum: 1 }, description: "The most that are listed." },
  after: { schema: { type: "string" }, description: "Id of the last one of the page before." },
  order: {
    schema: { enum: ["asc", "desc"] },
    description: "By the time at which they were made; default: the newest first.",
  },
};
