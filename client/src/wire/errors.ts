/**
 * The registry of error codes: the only place where a code is defined. Compare codes, never text.
 * `docs/errors.md` is generated from this table, and a test holds the two together.
 */
interface ErrorEntry {
  /** HTTP status of a reply that fails as a whole with this code; null: never sent over HTTP. */
  readonly status: number | null;
  /** Whether the same request may succeed when it is sent again later, unchanged. */
  readonly retryable: boolean;
  readonly meaning: string;
  readonly whatToDo: string;
}

function define<const Table extends Record<string, ErrorEntry>>(table: Table): Table {
  return table;
}

const NO = false;
const RETRY = true;

function entry(status: number | null, retryable: boolean, texts: readonly [string, string]) {
  return { status, retryable, meaning: texts[0], whatToDo: texts[1] } satisfies ErrorEntry;
}

export const errorRegistry: Readonly<Record<ErrorCode, ErrorEntry>> = define({
  bad_request: entry(400, NO, [
    "The body is not JSON, or a field is missing, unknown or of the wrong type; `param` names it.",
    "Correct the field that the message names.",
  ]),
  bad_encoding: entry(400, NO, [
    "The body is not UTF-8, or a text holds a lone surrogate.",
    "Send well-formed Unicode.",
  ]),
  body_too_large: entry(413, NO, [
    "The body has more bytes than `--body-bytes-max` (of pictures `--image-body-bytes-max`), or with what is made of it more than `--queued-bytes-max`.",
    "Send less in one request, or raise the limit.",
  ]),
  too_many_items: entry(413, NO, [
    "The request has more inputs than `--request-inputs-max`, or makes more items than `--queued-items-max`.",
    "Split the request, or raise the limit.",
  ]),
  input_empty: entry(422, NO, [
    "A list of inputs, or a list of token ids, is empty.",
    "Send at least one text or token.",
  ]),
  input_too_long: entry(422, NO, [
    "An input has more characters than `--input-characters-max`, or more tokens than the model takes.",
    "Shorten it, leave `split` on, or send `truncate: true`.",
  ]),
  tensor_invalid: entry(400, NO, [
    "A tensor of the request is missing, unknown, of another type or shape than the model takes, or its data are not what its shape says; `param` names it.",
    "Ask `GET /v1/models` for the model's inputs, and correct the tensor that the message names.",
  ]),
  image_invalid: entry(422, NO, [
    "A picture is no JPEG, PNG, WebP, GIF or TIFF, is truncated or damaged, or has more pixels than `--image-pixels-max`.",
    "Send the whole file, in one of these formats and not larger than that.",
  ]),
  token_out_of_range: entry(422, NO, [
    "A token id is not in the model's vocabulary.",
    "Use the tokenizer of the model that `model` names.",
  ]),
  unsupported_media_type: entry(415, NO, [
    "The body's type is not one that this route reads.",
    "Send `content-type: application/json`; pictures also as they are, see docs/pictures.md.",
  ]),
  headers_too_large: entry(431, NO, [
    "The request's headers are too large.",
    "Send fewer headers.",
  ]),
  not_found: entry(404, NO, ["There is no such route.", "See the routes in docs/http.md."]),
  method_not_allowed: entry(405, NO, [
    "The route exists, but not for this method; `Allow` lists those it has.",
    "Use a method that `Allow` names.",
  ]),
  upgrade_required: entry(426, NO, [
    "The route speaks WebSocket, and the request asked for none.",
    "Connect with a WebSocket; docs/streams.md has its messages.",
  ]),
  model_not_found: entry(404, NO, [
    "No served model has this name, none is for this task, or the name is needed and missing.",
    "Ask `GET /v1/models` for the names.",
  ]),
  unauthenticated: entry(401, NO, [
    "The server asks for a key, and none came or none that it knows.",
    "Send `Authorization: Bearer KEY`, or as the client's protocol has it; `millrace keys add` makes one.",
  ]),
  forbidden: entry(403, NO, [
    "The key is not for this model, this class of work or this route.",
    "Ask for what the message names, or use a key that may.",
  ]),
  rate_limited: entry(429, RETRY, [
    "The key has sent as much in this time as it may.",
    "Send it again after `Retry-After` seconds.",
  ]),
  quota_exceeded: entry(429, NO, [
    "The key has used all that it may in this period.",
    "Wait for the next period, or raise the key's quota.",
  ]),
  deployment_mismatch: entry(412, NO, [
    "The caller expected another environment, version or configuration than the one that answered.",
    "Check the address: you reached a deployment that you did not mean.",
  ]),
  body_timeout: entry(408, RETRY, [
    "The headers or the body did not arrive in time.",
    "Send the body faster, or raise `--body-timeout-ms`.",
  ]),
  queue_full: entry(429, RETRY, [
    "The server holds as many items or bytes, queued or being read, as it may, or as many jobs that have not ended.",
    "Send it again after `Retry-After` seconds.",
  ]),
  too_many_connections: entry(503, RETRY, [
    "The server has as many connections as it may.",
    "Reuse connections, or try again after `Retry-After` seconds.",
  ]),
  not_ready: entry(503, RETRY, [
    "No pipeline is up, or none could load the model; `/ready` and `/v1/models` say why.",
    "Try again after `Retry-After` seconds; where a load failed, mend what the reason names.",
  ]),
  model_too_large: entry(507, NO, [
    "The model's files are larger than what a pipeline has for models beside those that are pinned; `/ready` and `/v1/models` say so too.",
    "Raise `--model-memory-bytes`, have fewer `--pipelines`, or pin less with `--preload`.",
  ]),
  draining: entry(503, RETRY, [
    "The server is stopping and takes no new work.",
    "Send it to another node, or again after `Retry-After` seconds.",
  ]),
  deadline_too_soon: entry(429, RETRY, [
    "What waits before the request takes longer than the `timeoutMs` that it names; nothing of it was queued.",
    "Send it again after `Retry-After` seconds, or allow more time.",
  ]),
  deadline_exceeded: entry(504, NO, [
    "The item was not finished within its `timeoutMs`.",
    "Allow more time, or send less at once.",
  ]),
  cancelled: entry(499, NO, ["The caller left before the item was finished.", "Nothing to do."]),
  item_failed: entry(422, NO, [
    "A stage of the model rejected this item; its neighbours are not affected.",
    "The message says what the stage said.",
  ]),
  item_poison: entry(422, NO, [
    "The item ended a worker process, or the thread that prepares, twice while it ran alone.",
    "Do not send it again; keep it for a bug report.",
  ]),
  worker_lost: entry(503, RETRY, [
    "The item's workers were lost as often as an item may be tried.",
    "Send it again; if it persists, see `/status` for why workers end.",
  ]),
  internal: entry(500, NO, [
    "A bug in Millrace; the log has the details under the request id.",
    "Report it with the request id.",
  ]),
  job_not_found: entry(404, NO, [
    "There is no such job, its time is over, or it is another key's.",
    "Ask for the list of jobs; results are kept for `--job-retention` once a job has ended.",
  ]),
  file_not_found: entry(404, NO, [
    "There is no such file, its time is over, or it is another key's.",
    "Ask for the list of files, and upload it again.",
  ]),
  file_in_use: entry(409, NO, [
    "A job that has not ended reads the file, or a file of errors is made of it.",
    "Wait for the job to end, or cancel it; delete the file of errors first.",
  ]),
  request_key_reused: entry(422, NO, [
    "The `Idempotency-Key` came before with another request.",
    "Send a key of its own with each request.",
  ]),
  job_store_full: entry(507, RETRY, [
    "What jobs keep takes `--jobs-bytes-max`, or the disk is full. What was accepted is finished.",
    "Delete jobs and files whose results are fetched, or raise the limit.",
  ]),
  job_store_failed: entry(503, RETRY, [
    "Where jobs are kept cannot be read or written just now; the log says why.",
    "Try again after `Retry-After` seconds. Nothing that was accepted is lost.",
  ]),
  job_data_lost: entry(500, NO, [
    "What was kept of a job's lines or results is damaged or gone; what is around it is not affected.",
    "Submit the lines that have this error again; the log says what was lost, and the disk is worth a look.",
  ]),
  jobs_off: entry(501, NO, [
    "The server keeps no durable jobs.",
    "Start it with `--data DIR`, or with `--nats`.",
  ]),
  job_expired: entry(null, NO, [
    "The job's time was over before this line was run.",
    "Submit the lines that have this error again, with more time.",
  ]),
  job_cancelled: entry(null, NO, [
    "The job was cancelled before this line was run.",
    "Submit the lines that have this error again, if they are wanted.",
  ]),
  data_in_use: entry(null, NO, [
    "Another server keeps its jobs in the same folder.",
    "Name another folder with `--data`, or stop the other one; the message says its process number.",
  ]),
  data_invalid: entry(null, NO, [
    "Where jobs are kept (the folder of `--data`, or NATS) was written by another version of Millrace, or is damaged, or cannot be written.",
    "The message says which; start the version that wrote it, or name another folder or `--nats-prefix`.",
  ]),
  connection_failed: entry(null, RETRY, [
    "The client could not reach the server, or the connection broke.",
    "Check the address, and that the server runs.",
  ]),
  response_invalid: entry(null, NO, [
    "The client got a reply that is not Millrace's.",
    "Check that the address is a Millrace server.",
  ]),
  option_invalid: entry(500, NO, [
    "A flag, variable or key of the configuration is unknown or has a bad value; over HTTP: what is in the folder of models now contradicts one (`--preload`).",
    "See `millrace config` and docs/options.md.",
  ]),
  key_file_invalid: entry(null, NO, [
    "The file of keys (`--keys`), or what is kept beside it, is missing, broken, or one that everybody may write to.",
    "The message names the file and what is wrong with it. A running server goes on with the keys that it has.",
  ]),
  model_unsupported: entry(null, NO, [
    "The model's family, or a setting in its config.json, is not one that convert knows.",
    "The message names it and lists what is known.",
  ]),
  model_folder_invalid: entry(500, NO, [
    "A file of the model folder is missing, unreadable or contradicts another; over HTTP: the model cannot be loaded for that, or a reload found no model that can be served.",
    "The message names the file. After a reload that failed, what was served is served on.",
  ]),
  weights_invalid: entry(null, NO, [
    "A file of weights is truncated, damaged or hostile, or a weight is no finite number.",
    "The message names it; fetch the file again and compare its hash.",
  ]),
  tensor_missing: entry(null, NO, [
    "A tensor that the model needs is not in the file.",
    "The message names it; check that the file belongs to this config.json.",
  ]),
  tensor_mismatch: entry(null, NO, [
    "A tensor has another shape or type than config.json implies.",
    "The message names it; check that the file belongs to this config.json.",
  ]),
  output_exists: entry(null, NO, [
    "The output exists already, and is none that this run goes on with.",
    "Name another one, or replace it: --force of convert, --restart of the others.",
  ]),
  output_in_use: entry(null, NO, [
    "Another run writes to the same output.",
    "Wait until it has ended, or name another output.",
  ]),
  output_failed: entry(null, NO, [
    "The output folder could not be written: the disk is full, or something is not allowed.",
    "The message says what; a folder that was there before is as it was.",
  ]),
});

export type ErrorCode =
  | "bad_request"
  | "bad_encoding"
  | "body_too_large"
  | "too_many_items"
  | "input_empty"
  | "input_too_long"
  | "tensor_invalid"
  | "image_invalid"
  | "token_out_of_range"
  | "unsupported_media_type"
  | "headers_too_large"
  | "not_found"
  | "method_not_allowed"
  | "upgrade_required"
  | "model_not_found"
  | "unauthenticated"
  | "forbidden"
  | "rate_limited"
  | "quota_exceeded"
  | "deployment_mismatch"
  | "body_timeout"
  | "queue_full"
  | "too_many_connections"
  | "not_ready"
  | "model_too_large"
  | "draining"
  | "deadline_too_soon"
  | "deadline_exceeded"
  | "cancelled"
  | "item_failed"
  | "item_poison"
  | "worker_lost"
  | "internal"
  | "job_not_found"
  | "file_not_found"
  | "file_in_use"
  | "request_key_reused"
  | "job_store_full"
  | "job_store_failed"
  | "job_data_lost"
  | "jobs_off"
  | "job_expired"
  | "job_cancelled"
  | "data_in_use"
  | "data_invalid"
  | "connection_failed"
  | "response_invalid"
  | "option_invalid"
  | "key_file_invalid"
  | "model_unsupported"
  | "model_folder_invalid"
  | "weights_invalid"
  | "tensor_missing"
  | "tensor_mismatch"
  | "output_exists"
  | "output_in_use"
  | "output_failed";

/** The shape of an error in any JSON reply: of a whole request, or of one item. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  /** The field of the request that is wrong, as a path such as `texts[3]`. */
  readonly param?: string;
}

export interface MillraceErrorOptions {
  readonly cause?: unknown;
  readonly param?: string;
  /** How long the caller should wait before it tries again; set where the server said so. */
  readonly retryAfterMs?: number;
}

/** The one error class of server, client and command. `retryable` and the HTTP status follow from `code`. */
export class MillraceError extends Error {
  override readonly name = "MillraceError";
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly param: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: MillraceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = errorRegistry[code].retryable;
    this.param = options.param;
    this.retryAfterMs = options.retryAfterMs;
  }

  toWire(): WireError {
    const wire = { code: this.code, message: this.message, retryable: this.retryable };
    return this.param === undefined ? wire : { ...wire, param: this.param };
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(errorRegistry, value);
}
