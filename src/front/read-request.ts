/** A request in Millrace's own words → what submit takes: the fields that every task has; those of its own the task reads. */
import { apiLimits, workClasses } from "millrace-client/wire";
import type { GuardedRequest } from "../access/guarded-submit.js";
import { Fields } from "../work/fields.js";
import type { Asker } from "./ask.js";
import type { FrontOptions, FrontTask } from "./front.js";

const commonFields = ["model", "class", "timeoutMs", "tenant"] as const;

export interface RequestParts {
  readonly task: FrontTask;
  readonly asker: Pick<Asker, "id" | "caller" | "arrivedAtMs">;
  readonly options: FrontOptions;
  readonly payloadBytes: number;
}

/** @throws MillraceError `bad_request`, `bad_encoding`; `param` says where. */
export function readRequest(
  body: Readonly<Record<string, unknown>>,
  parts: RequestParts,
): GuardedRequest {
  const { task, asker, options, payloadBytes } = parts;
  const common = new Fields(body);
  common.refuseUnknown([...task.fields, ...commonFields]);
  const timeoutMs =
    common.integer("timeoutMs", [1, options.requestTimeoutMsMax]) ??
    options.requestTimeoutMsDefault;
  return {
    id: asker.id,
    caller: asker.caller,
    task: task.name,
    model: common.text("model", 256) ?? null,
    class: common.choice("class", workClasses) ?? null,
    tenant: common.text("tenant", apiLimits.tenantCharactersMax) ?? "default",
    deadlineAtMs: asker.arrivedAtMs + timeoutMs,
    payloadBytes,
    fields: Object.fromEntries(
      Object.entries(body).filter(([name]) => !commonFields.some((common) => common === name)),
    ),
  };
}
