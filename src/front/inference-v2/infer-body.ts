/**
 * The body of an inference request:
 *
 *   { "id", "parameters", "inputs": [{ name, datatype, shape, data | parameters.binary_data_size }], "outputs" }  raw │ raw │ …
 *   └──────────── so many bytes as the header says; without the header all of them ─────────────────┘
 */
import type { IncomingHttpHeaders } from "node:http";
import { MillraceError, tensorLimits } from "millrace-client/wire";
import { badField, Fields, kindOf, show } from "../../work/fields.js";
import { inTurns } from "../../work/in-turns.js";
import { parseSteps, tensorBody } from "../../work/json-object.js";
import { isJsonObject } from "../../work/payload.js";
import { readShape, readTensorJson, wrong } from "../../work/tensor-json.js";
import { type NamedTensor, NamedTensors } from "../../work/tensors.js";
import type { FrontOptions } from "../front.js";
import {
  type InferBody,
  readDatatype,
  readParameters,
  readSchedule,
  type WantedOutput,
} from "./infer-request.js";
import { rawTensor } from "./raw-tensors.js";

export const headLengthHeader = "inference-header-content-length";

/** The names that a message about the model itself has; they say nothing that the path does not. */
const bodyFields = [
  "id",
  "parameters",
  "inputs",
  "outputs",
  "model_name",
  "model_version",
] as const;
const inputFields = ["name", "datatype", "shape", "data", "parameters"] as const;
const outputFields = ["name", "datatype", "shape", "parameters"] as const;
/** In turns. @throws MillraceError `bad_request`, `bad_encoding`, `tensor_invalid`; the message names the tensor. */
export async function readInferBody(
  bytes: Buffer,
  headers: IncomingHttpHeaders,
  options: FrontOptions,
): Promise<InferBody> {
  return await inTurns(readSteps(bytes, headers, options));
}

function* readSteps(
  bytes: Buffer,
  headers: IncomingHttpHeaders,
  options: FrontOptions,
): Generator<undefined, InferBody> {
  const headBytes = headLength(bytes, headers);
  const text = decode(bytes.subarray(0, headBytes));
  const fields = new Fields(yield* parseSteps(text, tensorBody));
  fields.refuseUnknown(bodyFields);
  const parameters = readParameters(fields.value("parameters"), "parameters");
  const raw = new RawBytes(bytes.subarray(headBytes));
  const inputs: NamedTensor[] = [];
  for (const value of listOf(fields.value("inputs"), "inputs", tensorLimits.tensorsMax)) {
    inputs.push(yield* readInput(value, `inputs[${inputs.length}]`, raw));
  }
  raw.checkEnd();
  const id = fields.value("id") ?? undefined;
  if (id !== undefined && typeof id !== "string") {
    throw badField("id", `must be a text, not ${kindOf(id)}`);
  }
  const binaryOutputs = parameters.flag("binary_data_output") ?? false;
  const outputs = fields.value("outputs") ?? undefined;
  return {
    id,
    ...readSchedule(parameters, options),
    parameters,
    inputs: new NamedTensors(inputs),
    outputs:
      outputs === undefined || isNone(outputs) ? undefined : readOutputs(outputs, binaryOutputs),
    binaryOutputs,
  };
}

/** What a client sends that wants all. */
function isNone(outputs: unknown): boolean {
  return Array.isArray(outputs) && outputs.length === 0;
}

/** All of the body where the header is not there. */
function headLength(bytes: Buffer, headers: IncomingHttpHeaders): number {
  const said = headers[headLengthHeader];
  if (said === undefined) return bytes.length;
  const length = typeof said === "string" && /^\d{1,15}$/.test(said) ? Number(said) : -1;
  if (length >= 0 && length <= bytes.length) return length;
  throw badField(
    headLengthHeader,
    `must be from 0 to the ${bytes.length} bytes of the body, not ${show(said)}`,
  );
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new MillraceError("bad_encoding", "the JSON of the body is not UTF-8", { cause });
  }
}

/** What lies behind the JSON, taken tensor by tensor in the order of the inputs. */
class RawBytes {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(length: number, of: { readonly name: string; readonly param: string }): Buffer {
    const left = this.#bytes.length - this.#at;
    if (length > left)
      throw wrong(of, `its binary_data_size is ${length}, of the body ${left} bytes are left`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  checkEnd(): void {
    const left = this.#bytes.length - this.#at;
    if (left === 0) return;
    throw badField(
      "inputs",
      `${left} bytes of the body belong to no tensor: binary_data_size says how many do`,
    );
  }
}

function* readInput(
  value: unknown,
  param: string,
  raw: RawBytes,
): Generator<undefined, NamedTensor> {
  const fields = objectOf(value, param, inputFields);
  const name = nameOf(fields, param);
  const of = { name, param };
  const datatype = readDatatype(fields.value("datatype"), of);
  const shape = readShape(fields.value("shape"), of);
  const parameters = readParameters(fields.value("parameters"), `${param}.parameters`);
  const size = parameters.value("binary_data_size");
  const content = fields.value("data") ?? undefined;
  if ((size === undefined) === (content === undefined)) {
    throw wrong(of, "it needs either `data` or the parameter binary_data_size");
  }
  if (size === undefined) return yield* readTensorJson({ ...of, datatype, shape, content });
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw wrong(of, `its binary_data_size must be an integer from 0, not ${show(size)}`);
  }
  return rawTensor(raw.take(size, of), { ...of, datatype, shape });
}

function readOutputs(value: unknown, binaryOutputs: boolean): WantedOutput[] {
  return listOf(value, "outputs", tensorLimits.tensorsMax).map((each, place) => {
    const param = `outputs[${place}]`;
    const fields = objectOf(each, param, outputFields);
    const parameters = readParameters(fields.value("parameters"), `${param}.parameters`);
    return { name: nameOf(fields, param), binary: parameters.flag("binary_data") ?? binaryOutputs };
  });
}

function objectOf(value: unknown, param: string, known: readonly string[]): Fields {
  if (!isJsonObject(value)) throw badField(param, `must be an object, not ${kindOf(value)}`);
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown === undefined) return new Fields(value);
  throw badField(param, `has ${known.join(", ")}, and no ${show(unknown)}`);
}

function listOf(value: unknown, param: string, lengthMax: number): readonly unknown[] {
  if (!Array.isArray(value)) {
    throw badField(
      param,
      value === undefined ? "is missing" : `must be a list, not ${kindOf(value)}`,
    );
  }
  if (value.length <= lengthMax) return value;
  throw badField(param, `has ${value.length} tensors; at most ${lengthMax} are taken`);
}

function nameOf(fields: Fields, param: string): string {
  const name = fields.value("name");
  if (typeof name === "string" && name !== "" && name.length <= tensorLimits.nameCharactersMax)
    return name;
  const bounds = `1 to ${tensorLimits.nameCharactersMax} characters`;
  throw badField(`${param}.name`, `must be a text of ${bounds}, not ${show(name ?? null)}`);
}
