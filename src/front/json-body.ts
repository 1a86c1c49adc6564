/** A JSON body held against a schema: the same schema describes the route (OpenAPI). */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import type { Exchange } from "../listen/http/http-front.js";
import { parseObject } from "../work/json-object.js";
import type { JsonObject } from "../work/payload.js";
import { mediaTypeOf } from "./media-type.js";

export interface ReadBody<Value> {
  readonly value: Value;
  /** As it came, decompressed: what `payloadBytes` of a question counts. */
  readonly bytes: number;
}

/**
 * `answer` must call submit before it waits for anything: the body is counted until it returns.
 *
 * @throws MillraceError `unsupported_media_type`, `bad_request` (`param` is the path of the field), and as `Exchange.receive`
 */
export async function withJson<Value>(
  exchange: Exchange,
  schema: z.ZodType<Value>,
  answer: (body: ReadBody<Value>) => Promise<void>,
): Promise<void> {
  refuseOtherTypes(exchange);
  const body = await exchange.receive();
  let answered: Promise<void>;
  try {
    const { bytes } = body;
    answered = answer({ value: readAs(schema, parseObject(body.text())), bytes });
  } finally {
    body.release();
  }
  await answered;
}

/** @throws MillraceError `bad_request` */
export function readAs<Value>(schema: z.ZodType<Value>, value: unknown): Value {
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const param = z.core.toDotPath(issue?.path ?? []);
  const what = issue?.message ?? "it is not what this route takes";
  const message = param === "" ? what : `\`${param}\`: ${what}`;
  throw new MillraceError("bad_request", message, param === "" ? {} : { param });
}

/** For `RouteDoc`; of what is sent, not of what becomes of it. */
export function schemaOf(schema: z.ZodType): JsonObject {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest as JsonObject;
}

function refuseOtherTypes(exchange: Exchange): void {
  const sent = mediaTypeOf(exchange);
  if (sent === "application/json" || sent.endsWith("+json")) return;
  const shown = sent === "" ? "untyped" : JSON.stringify(sent.slice(0, 128));
  const message = `The body must be application/json, not ${shown}.`;
  throw new MillraceError("unsupported_media_type", message, { param: "content-type" });
}
