/** A request in Millrace's own words → a question: the fields that every task has; those of its own the task reads. */
import { apiLimits, workClasses } from "millrace-client/wire";
import { Fields } from "../work/fields.js";
import type { Question } from "./ask.js";
import type { FrontParts, FrontTask } from "./front.js";

const commonFields: readonly string[] = ["model", "class", "timeoutMs", "tenant"];

export interface QuestionParts extends Pick<FrontParts, "options"> {
  readonly task: FrontTask;
  readonly payloadBytes: number;
}

/** @throws MillraceError `bad_request`, `bad_encoding`; `param` says where. */
export function readQuestion(
  body: Readonly<Record<string, unknown>>,
  { task, options, payloadBytes }: QuestionParts,
): Question {
  const common = new Fields(body);
  common.refuseUnknown([...task.fields, ...commonFields]);
  const { requestTimeoutMsDefault, requestTimeoutMsMax } = options;
  return {
    task: task.name,
    model: common.text("model", 256) ?? null,
    class: common.choice("class", workClasses) ?? null,
    tenant: common.text("tenant", apiLimits.tenantCharactersMax) ?? "default",
    timeoutMs: common.integer("timeoutMs", [1, requestTimeoutMsMax]) ?? requestTimeoutMsDefault,
    payloadBytes,
    fields: Object.fromEntries(
      Object.entries(body).filter(([name]) => !commonFields.includes(name)),
    ),
  };
}
