/** What the body of `POST /v1/<task>` says → what submit takes: the fields that every task has; those of its own the task reads. */
import { apiLimits, MillraceError, workClasses } from "millrace-client/wire";
import type { GuardedRequest } from "../../access/guarded-submit.js";
import type { Exchange } from "../../listen/http/http-front.js";
import { Fields } from "../../work/fields.js";
import type { FrontOptions, FrontTask } from "../front.js";

const commonFields = ["model", "class", "timeoutMs", "tenant"] as const;

/** What a body is: the request as JSON, one file, or a form with files. */
export type BodyKind = "json" | "file" | "form";

/** @throws MillraceError `unsupported_media_type` */
export function bodyKindOf(
  { headers }: Pick<Exchange, "headers">,
  { files }: Pick<FrontTask, "files">,
): BodyKind {
  const [type = "", ...parameters] = (headers["content-type"] ?? "")
    .split(";")
    .map((part) => part.trim().toLowerCase());
  if (files?.mediaTypes.some((range) => isOf(type, range)) === true) return "file";
  if (files !== undefined && type === "multipart/form-data") return "form";
  if (type !== "application/json") {
    const known = ["application/json", ...(files?.mediaTypes ?? [])];
    const all = files === undefined ? known : [...known, "multipart/form-data"];
    throw new MillraceError(
      "unsupported_media_type",
      `The body must be ${all.join(" or ")}, not ${type === "" ? "untyped" : JSON.stringify(type.slice(0, 128))}.`,
      { param: "content-type" },
    );
  }
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new MillraceError("unsupported_media_type", "JSON is UTF-8; no other charset is read.", {
      param: "content-type",
    });
  }
  return "json";
}

/** Of a range such as `image/*`. */
function isOf(type: string, range: string): boolean {
  return range.endsWith("/*") ? type.startsWith(range.slice(0, -1)) : type === range;
}

export interface RequestParts {
  readonly task: FrontTask;
  readonly exchange: Pick<Exchange, "id" | "caller" | "arrivedAtMs">;
  readonly options: FrontOptions;
  readonly payloadBytes: number;
}

/** @throws MillraceError `bad_request`, `bad_encoding`; `param` says where. */
export function readRequest(
  body: Readonly<Record<string, unknown>>,
  parts: RequestParts,
): GuardedRequest {
  const { task, exchange, options, payloadBytes } = parts;
  const common = new Fields(body);
  common.refuseUnknown([...task.fields, ...commonFields]);
  const timeoutMs =
    common.integer("timeoutMs", [1, options.requestTimeoutMsMax]) ??
    options.requestTimeoutMsDefault;
  return {
    id: exchange.id,
    caller: exchange.caller,
    task: task.name,
    model: common.text("model", 256) ?? null,
    class: common.choice("class", workClasses) ?? null,
    tenant: common.text("tenant", apiLimits.tenantCharactersMax) ?? "default",
    deadlineAtMs: exchange.arrivedAtMs + timeoutMs,
    payloadBytes,
    fields: Object.fromEntries(
      Object.entries(body).filter(([name]) => !commonFields.some((common) => common === name)),
    ),
  };
}
