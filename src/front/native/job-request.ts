/** What `POST /v1/jobs` says beside its lines → what is asked of the jobs. */
import { apiLimits, jobLimits, MillraceError, requestKeyHeader } from "millrace-client/wire";
import type { JobRequest } from "../../jobs/jobs.js";
import type { Exchange } from "../../listen/http/http-front.js";
import { didYouMean } from "../../near-miss.js";
import { badField, Fields, kindOf } from "../../work/fields.js";
import { inputFields } from "../../work/input-fields.js";
import type { JsonObject } from "../../work/payload.js";
import type { FrontTask } from "../front.js";

type JobHead = Omit<JobRequest, "input">;

const commonFields: readonly string[] = [
  "task",
  "model",
  "tenant",
  "timeoutMs",
  "metadata",
  "callback",
];

/** `texts` is read by who makes lines of it; what the caller may, the jobs know. @throws MillraceError `bad_request`, `bad_encoding` */
export function readJobHead(
  body: Readonly<Record<string, unknown>>,
  tasks: readonly FrontTask[],
): JobHead {
  const fields = new Fields(body);
  const task = taskOf(fields, tasks);
  const settings = settingsOf(task);
  const takesTexts = task.fields.includes("texts");
  fields.refuseUnknown([...commonFields, ...settings, ...(takesTexts ? ["texts"] : [])]);
  const model = fields.text("model", 256) ?? null;
  const tenant = fields.text("tenant", apiLimits.tenantCharactersMax);
  const metadata = metadataOf(fields.value("metadata"));
  const callbackUrl = fields.text("callback", jobLimits.callbackCharactersMax);
  const set = Object.entries(body).filter(([name]) => settings.includes(name));
  const own = Object.fromEntries(set) as JsonObject;
  refuseWrong(task, own);
  return {
    form: { kind: "native", task: task.name, model, fields: own },
    deadlineMs: fields.integer("timeoutMs", [1, jobLimits.timeoutMsMax]) ?? null,
    metadata,
    ...(tenant === undefined ? {} : { tenant }),
    ...(callbackUrl === undefined ? {} : { callbackUrl }),
  };
}

/** @throws MillraceError `bad_request` */
export function sentRequestKey(headers: Exchange["headers"]): Pick<JobRequest, "requestKey"> {
  const key = headers[requestKeyHeader];
  if (key === undefined) return {};
  const { requestKeyCharactersMax } = jobLimits;
  if (typeof key === "string" && /^[!-~]+$/.test(key) && key.length <= requestKeyCharactersMax) {
    return { requestKey: key };
  }
  throw badField(
    requestKeyHeader,
    `must be 1 to ${requestKeyCharactersMax} visible ASCII characters`,
  );
}

function taskOf(fields: Fields, tasks: readonly FrontTask[]): FrontTask {
  const name = fields.text("task", 256);
  const names = tasks.map((task) => task.name);
  if (name === undefined) throw badField("task", `is needed: ${names.join(", ")}`);
  const found = tasks.find((task) => task.name === name);
  if (found !== undefined) return found;
  const message = `There is no task ${JSON.stringify(name)}${didYouMean(name, names)}; there are: ${names.join(", ")}.`;
  throw new MillraceError("bad_request", message, { param: "task" });
}

/** The fields of a task's request that are the same for every line. */
function settingsOf({ fields, files, tensors }: FrontTask): readonly string[] {
  // They are in the lines.
  const inputs = [...inputFields, files?.field, tensors?.inputs];
  return fields.filter((field) => !inputs.includes(field));
}

/** As the task's route would say it of each line; what it says of other fields is for the lines. @throws MillraceError `bad_request` */
function refuseWrong(task: FrontTask, own: JsonObject): void {
  try {
    task.read?.({ ...own, texts: ["a line"] }, { requestInputsMax: 1 });
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    const [field = ""] = (error.param ?? "").split(/[.[]/, 1);
    if (Object.hasOwn(own, field)) throw error;
  }
}

function metadataOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badField("metadata", `must be an object of texts, not ${kindOf(value)}`);
  }
  const pairs = Object.entries(value as Readonly<Record<string, unknown>>);
  const { metadataPairsMax, metadataKeyCharactersMax, metadataValueCharactersMax } = jobLimits;
  if (pairs.length > metadataPairsMax) {
    throw badField("metadata", `has ${pairs.length} pairs, at most ${metadataPairsMax} are kept`);
  }
  for (const [key, text] of pairs) {
    const param = `metadata.${key.slice(0, metadataKeyCharactersMax)}`;
    if (key === "" || key.length > metadataKeyCharactersMax) {
      throw badField(param, `its name must have 1 to ${metadataKeyCharactersMax} characters`);
    }
    if (typeof text !== "string" || text.length > metadataValueCharactersMax) {
      throw badField(param, `must be a text of at most ${metadataValueCharactersMax} characters`);
    }
  }
  return Object.fromEntries(pairs) as Readonly<Record<string, string>>;
}
