/** The body of `POST /v1/<task>` → what submit takes: the fields that every task has; those of its own the task reads. */
import { apiLimits, MillraceError, workClasses } from "millrace-client/wire";
import type { Exchange } from "../../listen/http/http-front.js";
import type { SubmitRequest } from "../../submit/submit.js";
import { Fields } from "../../work/fields.js";
import { parseObject, tensorBody } from "../../work/json-object.js";
import type { FrontOptions, FrontTask } from "../front.js";

const commonFields = ["model", "class", "timeoutMs", "tenant"] as const;

/** @throws MillraceError `unsupported_media_type` */
export function checkMediaType({ headers }: Pick<Exchange, "headers">): void {
  const [type = "", ...parameters] = (headers["content-type"] ?? "")
    .split(";")
    .map((part) => part.trim().toLowerCase());
  if (type !== "application/json") {
    throw new MillraceError(
      "unsupported_media_type",
      `The body must be application/json, not ${type === "" ? "untyped" : JSON.stringify(type)}.`,
      { param: "content-type" },
    );
  }
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new MillraceError("unsupported_media_type", "JSON is UTF-8; no other charset is read.", {
      param: "content-type",
    });
  }
}

export interface RequestParts {
  readonly task: FrontTask;
  readonly exchange: Pick<Exchange, "id" | "arrivedAtMs">;
  readonly options: FrontOptions;
  readonly payloadBytes: number;
}

/** @throws MillraceError `bad_request`, `bad_encoding`; `param` says where. */
export function readRequest(text: string, parts: RequestParts): SubmitRequest {
  const { task, exchange, options, payloadBytes } = parts;
  const body = parseObject(text, task.tensors === undefined ? undefined : tensorBody);
  const common = new Fields(body);
  common.refuseUnknown([...task.fields, ...commonFields]);
  const timeoutMs =
    common.integer("timeoutMs", [1, options.requestTimeoutMsMax]) ??
    options.requestTimeoutMsDefault;
  return {
    id: exchange.id,
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
