/** An inference request and its answer as protobuf messages: bytes → what submit takes, and tensors → bytes. */
import { tensorLimits } from "millrace-client/wire";
import { badField } from "../../work/fields.js";
import { inTurns } from "../../work/in-turns.js";
import { readShape, wrong } from "../../work/tensor-json.js";
import { type NamedTensor, NamedTensors } from "../../work/tensors.js";
import { hasContents, readContents, writeContents } from "./grpc-contents.js";
import {
  type InferBody,
  type InferReading,
  readDatatype,
  readParameters,
  readSchedule,
  type WantedOutput,
} from "./infer-request.js";
import { protoWriter } from "./proto-file.js";
import { FieldsBudget, ProtoReader, tagOf, wire } from "./proto-reader.js";
import { rawBytes, rawTensor } from "./raw-tensors.js";

export interface InferMessage extends InferBody {
  readonly model: string;
  readonly version: string;
  /** The answer is wanted as raw bytes. */
  readonly isRaw: boolean;
}

/** Of a request, of an input or of an output. */
const parametersMax = 256;

/** What was found of an input before its contents are looked at. */
interface Given {
  name: string;
  datatype: string;
  readonly shape: number[];
  readonly contents: Buffer[];
  readonly parameters: Record<string, unknown>;
}

interface Found {
  model: string;
  version: string;
  id: string;
  readonly parameters: Record<string, unknown>;
  readonly inputs: Given[];
  readonly outputs: { readonly name: string; readonly parameters: Record<string, unknown> }[];
  readonly raw: Buffer[];
}

/** In turns. @throws MillraceError `bad_request`, `bad_encoding`, `tensor_invalid`; the message names the tensor. */
export async function readInferMessage(
  bytes: Buffer,
  options: InferReading,
): Promise<InferMessage> {
  return await inTurns(readSteps(bytes, options));
}

function* readSteps(bytes: Buffer, options: InferReading): Generator<undefined, InferMessage> {
  const found = findFields(new ProtoReader(bytes, new FieldsBudget()));
  const { model, version, id, raw } = found;
  const parameters = readParameters(found.parameters, "parameters");
  const isRaw = raw.length > 0;
  if (isRaw && raw.length !== found.inputs.length) {
    throw badField(
      "raw_input_contents",
      `has ${raw.length} tensors, there are ${found.inputs.length} inputs`,
    );
  }
  const areFiles = options.takesFiles?.(model) ?? false;
  const inputs: NamedTensor[] = [];
  for (const [place, given] of found.inputs.entries()) {
    inputs.push(yield* readInput(given, place, { raw: raw[place], areFiles }));
  }
  const binaryOutputs = parameters.flag("binary_data_output") ?? isRaw;
  const outputs = found.outputs.map(({ name, parameters: own }, place): WantedOutput => {
    const fields = readParameters(own, `outputs[${place}].parameters`);
    return { name, binary: fields.flag("binary_data") ?? binaryOutputs };
  });
  return {
    model,
    version,
    isRaw: binaryOutputs,
    id: id === "" ? undefined : id,
    ...readSchedule(parameters, options),
    parameters,
    inputs: new NamedTensors(inputs),
    outputs: outputs.length === 0 ? undefined : outputs,
    binaryOutputs,
  };
}

function* readInput(
  given: Given,
  place: number,
  { raw, areFiles }: { readonly raw: Buffer | undefined; readonly areFiles: boolean },
): Generator<undefined, NamedTensor> {
  const param = `inputs[${place}]`;
  const { name } = given;
  if (name === "" || name.length > tensorLimits.nameCharactersMax) {
    throw badField(`${param}.name`, `must have 1 to ${tensorLimits.nameCharactersMax} characters`);
  }
  const of = { name, param };
  const datatype = readDatatype(given.datatype, of);
  const shape = readShape(given.shape, of);
  readParameters(given.parameters, `${param}.parameters`);
  const contents = Buffer.concat(given.contents);
  const tensor = { ...of, datatype, shape, areFiles };
  if (raw === undefined) return yield* readContents(contents, tensor);
  if (contents.length > 0) {
    throw wrong(of, "it has contents, and there are raw_input_contents: one of them is too much");
  }
  return rawTensor(raw, tensor);
}

function findFields(reader: ProtoReader): Found {
  const found: Found = {
    model: "",
    version: "",
    id: "",
    parameters: {},
    inputs: [],
    outputs: [],
    raw: [],
  };
  while (reader.left > 0) {
    const { field, type } = reader.tag();
    if (type !== wire.bytes) reader.skip(type);
    else if (field === 1) found.model = reader.text();
    else if (field === 2) found.version = reader.text();
    else if (field === 3) found.id = reader.text();
    else if (field === 4) readEntry(reader.message(), found.parameters);
    else if (field === 5) add(found.inputs, readGiven(reader.message()), "inputs");
    else if (field === 6) add(found.outputs, readOutput(reader.message()), "outputs");
    else if (field === 7) add(found.raw, reader.part(), "raw_input_contents");
    else reader.skip(type);
  }
  return found;
}

function add<T>(list: T[], each: T, param: string): void {
  list.push(each);
  if (list.length > tensorLimits.tensorsMax) {
    throw badField(param, `has more than ${tensorLimits.tensorsMax} tensors`);
  }
}

function readGiven(reader: ProtoReader): Given {
  const given: Given = { name: "", datatype: "", shape: [], contents: [], parameters: {} };
  while (reader.left > 0) {
    const { field, type } = reader.tag();
    if (field === 3 && type === wire.varint) addAxis(given.shape, reader);
    else if (type !== wire.bytes) reader.skip(type);
    else if (field === 1) given.name = reader.text();
    else if (field === 2) given.datatype = reader.text();
    else if (field === 3) {
      const axes = new ProtoReader(reader.part());
      // One too many is enough for whoever refuses it.
      while (axes.left > 0 && given.shape.length <= tensorLimits.dimensionsMax) {
        addAxis(given.shape, axes);
      }
    } else if (field === 4) readEntry(reader.message(), given.parameters);
    else if (field === 5) given.contents.push(reader.part());
    else reader.skip(type);
  }
  return given;
}

function addAxis(shape: number[], reader: ProtoReader): void {
  const size = Number(BigInt.asIntN(64, reader.uint64()));
  if (shape.length <= tensorLimits.dimensionsMax) shape.push(size);
}

function readOutput(reader: ProtoReader): Found["outputs"][number] {
  const parameters: Record<string, unknown> = {};
  let name = "";
  while (reader.left > 0) {
    const { field, type } = reader.tag();
    if (field === 1 && type === wire.bytes) name = reader.text();
    else if (field === 2 && type === wire.bytes) readEntry(reader.message(), parameters);
    else reader.skip(type);
  }
  return { name, parameters };
}

function readEntry(reader: ProtoReader, into: Record<string, unknown>): void {
  let key = "";
  let value: unknown = null;
  while (reader.left > 0) {
    const { field, type } = reader.tag();
    if (field === 1 && type === wire.bytes) key = reader.text();
    else if (field === 2 && type === wire.bytes) value = readParameter(reader.message());
    else reader.skip(type);
  }
  // Not by assignment: a key may be called as something that every object has.
  Object.defineProperty(into, key, { value, enumerable: true, configurable: true });
  if (Object.keys(into).length > parametersMax) {
    throw badField("parameters", `has more than ${parametersMax} entries`);
  }
}

function readParameter(reader: ProtoReader): unknown {
  let value: unknown = null;
  while (reader.left > 0) {
    const { field, type } = reader.tag();
    if (field === 1 && type === wire.varint) value = reader.uint32() !== 0;
    else if (field === 2 && type === wire.varint)
      value = Number(BigInt.asIntN(64, reader.uint64()));
    else if (field === 3 && type === wire.bytes) value = reader.text();
    else if (field === 4 && type === wire.fixed64) value = reader.take(8).readDoubleLE();
    else if (field === 5 && type === wire.varint) value = Number(reader.uint64());
    else reader.skip(type);
  }
  return value;
}

export interface InferAnswer {
  readonly model: string;
  readonly version: string;
  readonly id: string | undefined;
  /** FP16 and BF16 can be nothing else: then all are. */
  readonly isRaw: boolean;
  readonly tensors: readonly NamedTensor[];
}

/** `ModelInferResponse`. */
export function writeInferAnswer({ model, version, id, isRaw, tensors }: InferAnswer): Uint8Array {
  const asRaw = isRaw || tensors.some(({ datatype }) => !hasContents(datatype));
  const writer = protoWriter();
  writer.uint32(tagOf(1)).string(model);
  writer.uint32(tagOf(2)).string(version);
  if (id !== undefined) writer.uint32(tagOf(3)).string(id);
  for (const tensor of tensors) {
    writer.uint32(tagOf(5)).fork();
    writer.uint32(tagOf(1)).string(tensor.name);
    writer.uint32(tagOf(2)).string(tensor.datatype);
    writer.uint32(tagOf(3)).fork();
    for (const size of tensor.shape) writer.int64(size);
    writer.ldelim();
    if (!asRaw) writer.uint32(tagOf(5)).bytes(writeContents(tensor));
    writer.ldelim();
  }
  if (asRaw) for (const tensor of tensors) writer.uint32(tagOf(6)).bytes(rawBytes(tensor));
  return writer.finish();
}

/** `ModelStreamInferResponse` of such an answer. */
export function writeStreamAnswer(answer: Uint8Array): Uint8Array {
  return protoWriter().uint32(tagOf(2)).bytes(answer).finish();
}

/** Of a request that failed: clients tell by the id which one it was. */
export function writeStreamError(message: string, id: string): Uint8Array {
  const writer = protoWriter().uint32(tagOf(1)).string(message);
  writer.uint32(tagOf(2)).fork();
  if (id !== "") writer.uint32(tagOf(3)).string(id);
  return writer.ldelim().finish();
}

/** Of a message that may be broken behind it; empty where there is none. */
export function requestIdIn(bytes: Buffer): string {
  let id = "";
  try {
    const reader = new ProtoReader(bytes, new FieldsBudget());
    while (reader.left > 0) {
      const { field, type } = reader.tag();
      if (field === 3 && type === wire.bytes) id = reader.text();
      else reader.skip(type);
    }
  } catch {
    // What was found until there is the best that can be said.
  }
  return id;
}
