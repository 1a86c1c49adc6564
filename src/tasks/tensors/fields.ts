/** The fields of a request that are this task's own: JSON, or tensors that a front read from bytes → one input, and settings. */
import { type TensorDatatype, tensorDatatypes, tensorLimits } from "millrace-client/wire";
import { badField, Fields, kindOf, show } from "../../work/fields.js";
import { isJsonObject, type JsonObject } from "../../work/payload.js";
import { bytesOf, type NamedTensor, NamedTensors } from "../../work/tensors.js";
import type { TaskRequest } from "../task.js";

/** All tensors of a request: they are one input together. */
export type TensorsInput = readonly GivenTensor[];

/** As it came: what JSON says of a tensor is read when it is known which type the model wants. */
export type GivenTensor =
  | { readonly name: string; readonly tensor: NamedTensor }
  | { readonly name: string; readonly json: GivenJson };

export interface GivenJson {
  readonly datatype?: TensorDatatype;
  readonly shape?: unknown;
  readonly content: unknown;
}

const tensorFields = ["data", "shape", "datatype"] as const;

/** @throws MillraceError `bad_request`; `param` says where. */
export function readTensors(body: Readonly<Record<string, unknown>>): TaskRequest<TensorsInput> {
  const fields = new Fields(body);
  const outputs = readOutputs(fields.value("outputs"));
  const input = readInputs(fields.value("inputs"));
  const bytes = input.reduce((sum, given) => sum + heldBytes(given), 0);
  return { inputs: [input], bytes, settings: outputs === undefined ? {} : { outputs } };
}

function readInputs(value: unknown): TensorsInput {
  if (value instanceof NamedTensors) {
    return value.list.map((tensor) => ({ name: tensor.name, tensor }));
  }
  if (!isJsonObject(value)) {
    const what =
      value === undefined ? "is missing" : `must be an object of tensors, not ${kindOf(value)}`;
    throw badField("inputs", what);
  }
  return Object.entries(value).map(([name, each]) => ({ name, json: readGiven(name, each) }));
}

function readGiven(name: string, value: unknown): GivenJson {
  if (!isJsonObject(value)) return { content: value };
  const param = paramOf(name);
  const fields = new Fields(value);
  const unknown = Object.keys(value).find(
    (field) => !tensorFields.some((known) => known === field),
  );
  if (unknown !== undefined) {
    throw badField(param, `a tensor has ${tensorFields.join(", ")}, and no ${show(unknown)}`);
  }
  const content = fields.value("data");
  if (content === undefined) throw badField(param, "a tensor needs `data`");
  const datatype = tensorDatatypes.find((known) => known === fields.value("datatype"));
  if (datatype === undefined && fields.value("datatype") !== undefined) {
    const known = tensorDatatypes.join(", ");
    throw badField(
      param,
      `datatype must be one of ${known}, not ${show(fields.value("datatype"))}`,
    );
  }
  const shape = fields.value("shape");
  return {
    content,
    ...(datatype === undefined ? {} : { datatype }),
    ...(shape === undefined ? {} : { shape }),
  };
}

function readOutputs(value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value))
    throw badField("outputs", `must be a list of names, not ${kindOf(value)}`);
  if (value.length === 0 || value.length > tensorLimits.tensorsMax) {
    throw badField(
      "outputs",
      `must have 1 to ${tensorLimits.tensorsMax} names, not ${value.length}`,
    );
  }
  const bad = value.findIndex((name) => typeof name !== "string");
  if (bad !== -1) throw badField(`outputs[${bad}]`, `must be a name, not ${show(value[bad])}`);
  return value as string[];
}

/** What an error names: a part of the tensor's name, for it is the caller's. */
export function paramOf(name: string): string {
  return `inputs.${name.slice(0, tensorLimits.nameCharactersMax)}`;
}

function heldBytes(given: GivenTensor): number {
  return "tensor" in given ? bytesOf(given.tensor) : jsonBytes(given.json.content);
}

/** V8 takes eight bytes for each number of a list, and a list has a head. */
function jsonBytes(content: unknown): number {
  if (typeof content === "string") return 32 + 2 * content.length;
  if (!Array.isArray(content)) return 8;
  let bytes = 32 + 8 * content.length;
  for (const each of content) {
    if (Array.isArray(each) || typeof each === "string") bytes += jsonBytes(each);
    // The first says what the others are; one that is something else is refused anyway.
    else break;
  }
  return bytes;
}

/** The outputs that were asked for, as places among the model's: what `complete` left in the settings. */
export function placesOf(settings: JsonObject): readonly number[] {
  const { outputs } = settings;
  if (!Array.isArray(outputs) || !outputs.every((place) => typeof place === "number")) {
    throw new TypeError("tensors: its settings were not completed");
  }
  return outputs;
}
