/** An error as Hugging Face's API says it: one text; and where a model is not there yet, about how many seconds that takes. */
import type { MillraceError } from "millrace-client/wire";
import type { Reply } from "../../listen/http/http-front.js";
import { numberSchema, objectSchema, textSchema } from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";
import { errorHead } from "../reply-heads.js";

export const huggingfaceErrorSchema: JsonObject = objectSchema(
  { error: textSchema },
  { estimated_time: numberSchema },
);

export function huggingfaceError(error: MillraceError): Reply {
  const { status, headers } = errorHead(error);
  const { code, message, retryAfterMs = 1_000 } = error;
  const waits = code === "not_ready" ? { estimated_time: retryAfterMs / 1_000 } : {};
  return {
    // What is wrong with an input is a bad request there.
    status: status === 422 && code !== "item_failed" && code !== "item_poison" ? 400 : status,
    contentType: "application/json",
    body: JSON.stringify({ error: message, ...waits }),
    headers,
  };
}
