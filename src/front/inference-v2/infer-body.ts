/**
 * The body of an inference request:
 *
 *   { "id", "parameters", "inputs": [{ name, datatype, shape, data | parameters.binary_data_size }], "outputs" }  raw │ raw │ …
 *   └──────────── so many bytes as the header says; without the header all of them ─────────────────┘
 */
import { tensorLimits } from "millrace-client/wire";
import type { Exchange } from "../../listen/http/http-front.js";
import { badField, Fields, kindOf, show } from "../../work/fields.js";
import { inTurns } from "../../work/in-turns.js";
import { parseSteps, tensorBody } from "../../work/json-object.js";
import { isJsonObject } from "../../work/payload.js";
import { readShape, readTensorJson, wrong } from "../../work/tensor-json.js";
import { type NamedTensor, NamedTensors, textsOf } from "../../work/tensors.js";
import { utf8Text } from "../utf8-text.js";
import {
  type InferBody,
  type InferReading,
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
  headers: Exchange["headers"],
  options: InferReading,
): Promise<InferBody> {
  return await inTurns(readSteps(bytes, headers, options));
}

function* readSteps(
  bytes: Buffer,
  headers: Exchange["headers"],
  options: InferReading,
): Generator<undefined, InferBody> {
  const headBytes = headLength(bytes, headers);
  const text = utf8Text(bytes.subarray(0, headBytes), "the JSON of the body");
  const fields = new Fields(yield* parseSteps(text, tensorBody));
  fields.refuseUnknown(bodyFields);
  const parameters = readParameters(fields.value("parameters"), "parameters");
  // Whose body it is stands in the path, not here.
  const raw = new RawBytes(bytes.subarray(headBytes), options.takesFiles?.("") ?? false);
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
function headLength(bytes: Buffer, headers: Exchange["headers"]): number {
  const said = headers[headLengthHeader];
  if (said === undefined) return bytes.length;
  const length = typeof said === "string" && /^\d{1,15}$/.test(said) ? Number(said) : -1;
  if (length >= 0 && length <= bytes.length) return length;
  throw badField(
    headLengthHeader,
    `must be from 0 to the ${bytes.length} bytes of the body, not ${show(said)}`,
  );
}

/** What lies behind the JSON, taken tensor by tensor in the order of the inputs. */
class RawBytes {
  readonly areFiles: boolean;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer, areFiles: boolean) {
    this.#bytes = bytes;
    this.areFiles = areFiles;
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
  if (size === undefined) {
    const tensor = yield* readTensorJson({ ...of, datatype, shape, content });
    return raw.areFiles && datatype === "BYTES" ? filesOf(tensor, of) : tensor;
  }
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
    throw wrong(of, `its binary_data_size must be an integer from 0, not ${show(size)}`);
  }
  const { areFiles } = raw;
  return rawTensor(raw.take(size, of), { ...of, datatype, shape, areFiles });
}

/** In JSON they are base64. @throws MillraceError `tensor_invalid` */
function filesOf(
  tensor: NamedTensor,
  of: { readonly name: string; readonly param: string },
): NamedTensor {
  const files = textsOf(tensor).map((text, element) => {
    if (text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
      return Buffer.from(text, "base64");
    }
    throw wrong(of, `element ${element} is no file in base64`);
  });
  const { name, shape } = tensor;
  const lengths = Int32Array.from(files, ({ length }) => length);
  return { name, datatype: "BYTES", shape, data: new Uint8Array(Buffer.concat(files)), lengths };
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
