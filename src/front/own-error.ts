/** An error in Millrace's own words, for the fronts over HTTP whose protocol is Millrace's. */
import type { ErrorResponse, MillraceError } from "millrace-client/wire";
import type { Reply } from "../listen/http/http-front.js";
import { objectSchema, textSchema, titled, wireErrorSchema } from "../work/json-schema.js";
import type { JsonObject } from "../work/payload.js";
import type { ServerViews } from "../work/views.js";
import { jsonReply } from "./json-reply.js";
import { errorHead } from "./reply-heads.js";

export function ownError(
  error: MillraceError,
  id: string,
  { identity: deployment }: Pick<ServerViews, "identity">,
): Reply {
  const { status, headers } = errorHead(error);
  const body: ErrorResponse = { error: error.toWire(), id, deployment };
  return jsonReply(status, body, headers);
}

export const deploymentSchema: JsonObject = titled(
  "Deployment",
  objectSchema({
    name: textSchema,
    environment: textSchema,
    version: textSchema,
    configHash: textSchema,
    node: textSchema,
  }),
);

export const ownErrorSchema: JsonObject = titled(
  "ErrorResponse",
  objectSchema({ error: wireErrorSchema, id: textSchema, deployment: deploymentSchema }),
);
