/** A JSON body held against a schema: the same schema describes the route (OpenAPI). */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import type { Exchange } from "../listen/http/http-front.js";
import { kindOf } from "../work/fields.js";
import { type BodyShape, parseObject, usualBody } from "../work/json-object.js";
import type { JsonObject } from "../work/payload.js";
import { mediaTypeOf } from "./media-type.js";
import { withBody } from "./with-body.js";

export interface ReadBody<Value> {
  readonly value: Value;
  /** As it came, decompressed: what `payloadBytes` of a question counts. */
  readonly bytes: number;
}

/**
 * `answer` as of `withBody`: it calls submit before it waits for anything.
 *
 * @throws MillraceError `unsupported_media_type`, `bad_request` (`param` is the path of the field), and as `Exchange.receive`
 */
export async function withJson<Value>(
  exchange: Exchange,
  schema: z.ZodType<Value>,
  answer: (body: ReadBody<Value>) => Promise<void>,
): Promise<void> {
  await withJsonOf(exchange, { schema, shape: usualBody }, answer);
}

/** The same, of a body that may have more in it than others. */
export async function withJsonOf<Value>(
  exchange: Exchange,
  { schema, shape }: { readonly schema: z.ZodType<Value>; readonly shape: BodyShape },
  answer: (body: ReadBody<Value>) => Promise<void>,
): Promise<void> {
  refuseOtherTypes(exchange);
  await withBody(exchange, {
    read: (body) => ({
      value: readAs(schema, parseObject(body.text(), shape)),
      bytes: body.bytes,
    }),
    answer,
  });
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

const texts = { type: "array", items: { type: "string" } } as const;

/** By hand: zod has an issue for each entry that is wrong, and half a million of them take seconds. The first one is enough. */
export const textList: z.ZodType<readonly string[]> = z
  .unknown()
  .meta(texts)
  .transform((value, context) => textsIn(value, context));

export const textOrTexts: z.ZodType<string | readonly string[]> = z
  .unknown()
  .meta({ anyOf: [{ type: "string" }, texts] })
  .transform((value, context) => (typeof value === "string" ? value : textsIn(value, context)));

function textsIn(value: unknown, context: z.core.$RefinementCtx): readonly string[] {
  if (!Array.isArray(value)) {
    const found =
      value === undefined ? "is missing" : `must be a list of texts, not ${kindOf(value)}`;
    context.addIssue({ code: "custom", message: found });
    return z.NEVER;
  }
  const wrong = value.findIndex((each) => typeof each !== "string");
  if (wrong === -1) return value as readonly string[];
  const message = `must be a text, not ${kindOf(value[wrong])}`;
  context.addIssue({ code: "custom", path: [wrong], message });
  return z.NEVER;
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
