/** An error in the words of text-embeddings-inference: one of six types, each with a status of its own. */
import { type ErrorCode, errorRegistry, type MillraceError } from "millrace-client/wire";
import type { Reply } from "../../listen/http/http-front.js";
import { objectSchema, textSchema } from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";
import { errorHead } from "../reply-heads.js";

type ErrorType = "Unhealthy" | "Backend" | "Overloaded" | "Validation" | "Tokenizer" | "Empty";

/** Its code's own statuses; its documentation says 413 for a batch that is too large, and its code 422. */
const statuses: Readonly<Record<ErrorType, number>> = {
  Unhealthy: 503,
  Backend: 424,
  Overloaded: 429,
  Validation: 422,
  Tokenizer: 422,
  Empty: 400,
};

export const teiErrorSchema: JsonObject = objectSchema({
  error: textSchema,
  error_type: { enum: Object.keys(statuses) },
});

/** Statuses of HTTP itself, which its server says too: there its readers look at nothing else. */
const plainStatuses: readonly number[] = [401, 403, 404, 405, 408, 412, 413, 415, 431];

export function teiError(error: MillraceError): Reply {
  const { code, message } = error;
  const { status: own, headers } = errorHead(error);
  const errorType = typeOf(error);
  const isPlain = !ownTypes.includes(code) && plainStatuses.includes(own);
  return {
    status: isPlain ? own : statuses[errorType],
    contentType: "application/json",
    body: JSON.stringify({ error: message, error_type: errorType }),
    headers,
  };
}

/** There is one model there: that none can do what is asked for is a failure of the model. */
const ownTypes: readonly ErrorCode[] = ["model_not_found", "too_many_items"];

const types: Readonly<Partial<Record<ErrorCode, ErrorType>>> = {
  input_empty: "Empty",
  token_out_of_range: "Tokenizer",
  bad_encoding: "Tokenizer",
  too_many_connections: "Overloaded",
  not_ready: "Unhealthy",
  draining: "Unhealthy",
  model_not_found: "Backend",
  item_failed: "Backend",
  item_poison: "Backend",
};

function typeOf({ code }: MillraceError): ErrorType {
  const status = errorRegistry[code].status ?? 500;
  const byStatus = status === 429 ? "Overloaded" : status < 500 ? "Validation" : "Backend";
  return types[code] ?? byStatus;
}
