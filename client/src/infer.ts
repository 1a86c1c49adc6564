/**
 * The task `infer`: named tensors in, named tensors out, as typed arrays. They travel as bytes in the Open Inference
 * Protocol v2: JSON has no infinities, and cannot hold every 64-bit integer.
 *
 *     { "inputs": [{ name, datatype, shape, parameters: { binary_data_size } }, …], … } bytes │ bytes │ …
 */

import { datatypeOf, fromRaw, holds, type TensorValues, toRaw } from "./raw-tensors.js";
import { isRecord } from "./reply.js";
import type { Content } from "./transport.js";
import {
  type DeploymentIdentity,
  type ErrorCode,
  errorRegistry,
  MillraceError,
  type RequestFields,
  type TensorDatatype,
  tensorDatatypes,
  tensorLimits,
} from "./wire/index.js";

export interface TensorInput {
  readonly data: TensorValues;
  readonly shape: readonly number[];
  /** Default: that of the array, such as FP32 of a Float32Array. BOOL (in a Uint8Array), FP16 and BF16 must be named. */
  readonly datatype?: TensorDatatype;
}

export interface TensorOutput {
  readonly datatype: TensorDatatype;
  readonly shape: readonly number[];
  readonly data: TensorValues;
}

/** Without a tenant: the protocol has no place for one. */
export interface InferOptions extends Omit<RequestFields, "model" | "tenant"> {
  readonly model: string;
  /** By name, every input of the model. */
  readonly inputs: Readonly<Record<string, TensorInput>>;
  /** Names of the outputs that are wanted. Default: all. */
  readonly outputs?: readonly string[];
  /** Aborting it stops the work on the server too. */
  readonly signal?: AbortSignal;
}

export interface Inference {
  readonly outputs: Readonly<Record<string, TensorOutput>>;
  /** Null where a browser hides the reply's header. */
  readonly id: string | null;
  readonly deployment: DeploymentIdentity | null;
}

const headLengthHeader = "inference-header-content-length";

/** Throws `bad_request` or `tensor_invalid`. */
export function inferPath({ model }: InferOptions): string {
  if (typeof model === "string" && model !== "") {
    return `v2/models/${encodeURIComponent(model)}/infer`;
  }
  throw new MillraceError("bad_request", "`model` must be named.", { param: "model" });
}

/** Throws `tensor_invalid`. */
export function inferContent({ inputs, outputs, ...fields }: InferOptions): Content {
  const { class: workClass, timeoutMs } = fields;
  const raws: Uint8Array[] = [];
  const tensors = Object.entries(inputs).map(([name, input]) => {
    const datatype = checked(name, input);
    const raw = toRaw(input.data);
    raws.push(raw);
    const parameters = { binary_data_size: raw.length };
    return { name, datatype, shape: [...input.shape], parameters };
  });
  const head = new TextEncoder().encode(
    JSON.stringify({
      inputs: tensors,
      ...(outputs === undefined ? {} : { outputs: outputs.map((name) => ({ name })) }),
      parameters: {
        binary_data_output: true,
        ...(workClass === undefined ? {} : { priority: workClass === "realtime" ? 1 : 2 }),
        ...(timeoutMs === undefined ? {} : { timeout: Math.ceil(timeoutMs * 1_000) }),
      },
    }),
  );
  const bytes = new Uint8Array(raws.reduce((sum, { length }) => sum + length, head.length));
  bytes.set(head);
  let at = head.length;
  for (const raw of raws) {
    bytes.set(raw, at);
    at += raw.length;
  }
  const headers = {
    "content-type": "application/octet-stream",
    [headLengthHeader]: String(head.length),
  };
  return { kind: "bytes", bytes, headers };
}

function checked(name: string, { data, shape, datatype = datatypeOf(data) }: TensorInput) {
  const refuse = (what: string): MillraceError =>
    new MillraceError("tensor_invalid", `Tensor ${name}: ${what}`, { param: `inputs.${name}` });
  if (datatype === undefined) throw refuse("its data must be a typed array or a list of strings.");
  if (!tensorDatatypes.includes(datatype)) throw refuse(`there is no datatype ${datatype}.`);
  if (!holds(data, datatype)) throw refuse(`its data are no array of ${datatype}.`);
  const elements = elementsOf(shape);
  if (elements === null) throw refuse("its shape must be a list of whole numbers.");
  if (elements === data.length) return datatype;
  throw refuse(`its data have ${data.length} elements, and its shape ${elements}.`);
}

/** Null where it is no shape. */
function elementsOf(shape: unknown): number | null {
  if (!Array.isArray(shape) || shape.length > tensorLimits.dimensionsMax) return null;
  const sizes: readonly unknown[] = shape;
  let elements = 1;
  for (const size of sizes) {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return null;
    elements *= size;
  }
  return Number.isSafeInteger(elements) ? elements : null;
}

/** Throws `response_invalid`. */
export function readInference(
  bytes: Uint8Array,
  headers: Headers | null,
): Readonly<Record<string, TensorOutput>> {
  const headBytes = headers?.get(headLengthHeader) ?? null;
  if (headBytes === null) {
    const message = `The reply has no ${headLengthHeader} header; across origins the server must expose it.`;
    throw new MillraceError("response_invalid", message);
  }
  const length = /^\d{1,10}$/.test(headBytes) ? Number(headBytes) : Number.POSITIVE_INFINITY;
  const head = length <= bytes.length ? parse(bytes.subarray(0, length)) : null;
  const list: unknown = isRecord(head) ? head["outputs"] : null;
  if (!Array.isArray(list)) throw notTensors();
  const outputs: Record<string, TensorOutput> = Object.create(null) as Record<string, TensorOutput>;
  let at = length;
  for (const output of list as readonly unknown[]) {
    if (!isRecord(output)) throw notTensors();
    const { name, datatype, shape, parameters } = output;
    const elements = elementsOf(shape);
    const size = isRecord(parameters) ? parameters["binary_data_size"] : null;
    if (typeof name !== "string" || !isDatatype(datatype) || elements === null) throw notTensors();
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) throw notTensors();
    if (at + size > bytes.length) throw notTensors();
    const data = fromRaw(bytes.subarray(at, at + size), { datatype, elements });
    outputs[name] = { datatype, shape: [...(shape as readonly number[])], data };
    at += size;
  }
  return outputs;
}

function isDatatype(value: unknown): value is TensorDatatype {
  return tensorDatatypes.some((datatype) => datatype === value);
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    return null;
  }
}

function notTensors(): MillraceError {
  return new MillraceError("response_invalid", "The reply's tensors are not as its head says.");
}

/** The protocol's errors have a message and no code: the status says which of them it is. */
const codes: Readonly<Record<number, ErrorCode>> = {
  400: "tensor_invalid",
  404: "model_not_found",
  408: "body_timeout",
  412: "deployment_mismatch",
  413: "body_too_large",
  422: "item_failed",
  429: "queue_full",
  500: "internal",
  503: "not_ready",
  504: "deadline_exceeded",
};

export function readInferFailure(status: number, body: unknown): MillraceError | null {
  const message = isRecord(body) ? body["error"] : null;
  const code = codes[status];
  if (typeof message !== "string" || code === undefined) return null;
  if (errorRegistry[code].status !== status) throw new Error(`${code} has another status`);
  return new MillraceError(code, message);
}
