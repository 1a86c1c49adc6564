/** READ FIRST of this folder: what an ONNX file says of its graph, whatever its size: inputs, outputs, opsets, files beside it. */
import { open } from "node:fs/promises";
import { MillraceError, tensorLimits } from "millrace-client/wire";
import { messageOf } from "../../work/thrown.js";
import { isMissing } from "../read-json.js";
import { type Field, FieldReader } from "./field-reader.js";

export interface GraphFacts {
  readonly name: string;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  /** Those that a caller gives: what has a value in the file is no input. */
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** Names of the files that hold weights, as the graph has them. */
  readonly dataFiles: readonly string[];
}

/** Where a weight lies that is in a file beside the graph. */
export interface WeightPlace {
  /** As the graph has it. */
  readonly file: string;
  readonly byteOffset: number;
  /** 0 where the graph does not say. */
  readonly byteLength: number;
}

export interface GraphValue {
  readonly name: string;
  /** ONNX's number of its element type; 0 where the graph does not say. Null: it is no tensor, but a sequence, say. */
  readonly elementType: number | null;
  /** A text is a size that has a name, or an empty one, and no number. Null: not even the rank is known. */
  readonly shape: readonly (number | string)[] | null;
}

/** ONNX's own field numbers, of those messages that are looked into. */
const modelFields = { graph: 7, opsetImport: 8 };
const opsetFields = { domain: 1, version: 2 };
const graphFields = { name: 2, initializer: 5, input: 11, output: 12 };
const tensorFields = { name: 8, externalData: 13 };
const entryFields = { key: 1, value: 2 };
const valueFields = { name: 1, type: 2 };
const typeFields = { tensor: 1 };
const tensorTypeFields = { elementType: 1, shape: 2 };
const shapeFields = { dimension: 1 };
const dimensionFields = { value: 1, parameter: 2 };

const nameBytesMax = 1_024;
const opsetsMax = 256;
const dataFilesMax = 4_096;
/** Location, offset, length and checksum are all that ONNX has. */
const placeEntriesMax = 64;
/** Names that are kept while it is not known which of them are inputs. */
const initializersMax = 4_000_000;

/** Throws `model_folder_invalid`, which names the file, where it is missing, truncated or no ONNX graph. */
export async function readGraph(path: string): Promise<GraphFacts> {
  return await readWith(path, (reader, size) => reader.model(size));
}

/** Of the weight of this name; null where the graph has none, or has it in itself. Throws as `readGraph`. */
export async function readWeightPlace(path: string, name: string): Promise<WeightPlace | null> {
  return await readWith(path, (reader, size) => reader.placeOf(name, size));
}

async function readWith<Found>(
  path: string,
  read: (reader: GraphReader, size: number) => Promise<Found>,
): Promise<Found> {
  try {
    await using handle = await open(path, "r");
    const { size } = await handle.stat();
    return await read(new GraphReader(new FieldReader(handle)), size);
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause;
    const isFileError = cause instanceof Error && "code" in cause;
    const reason = messageOf(cause);
    const what = isMissing(cause)
      ? "is missing"
      : isFileError
        ? `cannot be read: ${reason}`
        : `is no ONNX graph that can be read: ${reason}`;
    throw new MillraceError("model_folder_invalid", `${path} ${what}`, { cause });
  }
}

class GraphReader {
  readonly #reader: FieldReader;

  constructor(reader: FieldReader) {
    this.#reader = reader;
  }

  async model(size: number): Promise<GraphFacts> {
    const opsets: { domain: string; version: number }[] = [];
    let graph: Omit<GraphFacts, "opsets"> | null = null;
    for await (const field of this.#reader.fields(0, size)) {
      if (field.number !== null) continue;
      if (field.id === modelFields.opsetImport) {
        if (opsets.length >= opsetsMax) throw new Error(`more than ${opsetsMax} opsets`);
        opsets.push(await this.#opset(field));
      }
      if (field.id === modelFields.graph) {
        if (graph !== null) throw new Error("it has two graphs");
        graph = await this.#graph(field);
      }
    }
    if (graph === null) throw new Error("it has no graph");
    return { ...graph, opsets };
  }

  async placeOf(weight: string, size: number): Promise<WeightPlace | null> {
    for await (const graph of this.#reader.fields(0, size)) {
      if (graph.id !== modelFields.graph || graph.number !== null) continue;
      for await (const field of this.#reader.fields(graph.from, graph.until)) {
        if (field.id !== graphFields.initializer || field.number !== null) continue;
        const { name, entries } = await this.#initializer(field);
        if (name === weight) return placeIn(new Map(entries));
      }
    }
    return null;
  }

  async #opset(at: Field): Promise<{ domain: string; version: number }> {
    const opset = { domain: "", version: 0 };
    for await (const field of this.#reader.fields(at.from, at.until)) {
      if (field.id === opsetFields.domain) opset.domain = await this.#name(field);
      if (field.id === opsetFields.version) opset.version = field.number ?? 0;
    }
    return opset;
  }

  async #graph(at: Field): Promise<Omit<GraphFacts, "opsets">> {
    let name = "";
    const inputs: GraphValue[] = [];
    const outputs: GraphValue[] = [];
    const initializers = new Set<string>();
    const dataFiles = new Set<string>();
    for await (const field of this.#reader.fields(at.from, at.until)) {
      if (field.number !== null) continue;
      if (field.id === graphFields.name) name = await this.#name(field);
      if (field.id === graphFields.initializer) {
        const { name: weight, entries } = await this.#initializer(field);
        initializers.add(weight);
        for (const [key, value] of entries) if (key === "location") dataFiles.add(value);
        if (dataFiles.size > dataFilesMax) throw new Error(`more than ${dataFilesMax} data files`);
        if (initializers.size > initializersMax) throw new Error("it has millions of weights");
      }
      if (field.id === graphFields.input) inputs.push(await this.#value(field));
      if (field.id === graphFields.output) outputs.push(await this.#value(field));
      // Graphs of former days list every weight as an input as well.
      if (inputs.length > initializersMax || outputs.length > tensorLimits.tensorsMax) {
        throw new Error(`more than ${tensorLimits.tensorsMax} inputs or outputs`);
      }
    }
    const given = inputs.filter((input) => !initializers.has(input.name));
    return { name, inputs: given, outputs, dataFiles: [...dataFiles] };
  }

  /** Its name, and what is said of where its bytes lie. */
  async #initializer(
    at: Field,
  ): Promise<{ readonly name: string; readonly entries: readonly [key: string, value: string][] }> {
    let name = "";
    const entries: [key: string, value: string][] = [];
    for await (const field of this.#reader.fields(at.from, at.until)) {
      if (field.id === tensorFields.name) name = await this.#name(field);
      if (field.id !== tensorFields.externalData || field.number !== null) continue;
      const entry: [key: string, value: string] = ["", ""];
      for await (const part of this.#reader.fields(field.from, field.until)) {
        if (part.id === entryFields.key) entry[0] = await this.#name(part);
        if (part.id === entryFields.value) entry[1] = await this.#name(part);
      }
      if (entries.push(entry) > placeEntriesMax) throw new Error("a weight of very many places");
    }
    return { name, entries };
  }

  async #value(at: Field): Promise<GraphValue> {
    let name = "";
    let type: Pick<GraphValue, "elementType" | "shape"> = { elementType: null, shape: null };
    for await (const field of this.#reader.fields(at.from, at.until)) {
      if (field.number !== null) continue;
      if (field.id === valueFields.name) name = await this.#name(field);
      if (field.id === valueFields.type) type = await this.#type(field);
    }
    return { name, ...type };
  }

  async #type(at: Field): Promise<Pick<GraphValue, "elementType" | "shape">> {
    let elementType: number | null = null;
    let shape: GraphValue["shape"] = null;
    for await (const kind of this.#reader.fields(at.from, at.until)) {
      if (kind.id !== typeFields.tensor || kind.number !== null) continue;
      elementType = 0;
      for await (const field of this.#reader.fields(kind.from, kind.until)) {
        if (field.id === tensorTypeFields.elementType) elementType = field.number ?? 0;
        if (field.id === tensorTypeFields.shape) shape = await this.#shape(field);
      }
    }
    return { elementType, shape };
  }

  async #shape(at: Field): Promise<(number | string)[]> {
    const shape: (number | string)[] = [];
    for await (const field of this.#reader.fields(at.from, at.until)) {
      if (field.id !== shapeFields.dimension) continue;
      let size: number | string = "";
      for await (const part of this.#reader.fields(field.from, field.until)) {
        if (part.id === dimensionFields.value) size = sizeOf(part.number ?? -1);
        if (part.id === dimensionFields.parameter) size = await this.#name(part);
      }
      shape.push(size);
      if (shape.length > 1_024) throw new Error("a tensor of more than 1024 dimensions");
    }
    return shape;
  }

  async #name(field: Field): Promise<string> {
    return await this.#reader.text(field, nameBytesMax);
  }
}

/** Some exporters write -1 for a size that is not known: as an unsigned number it is far over any real one. */
function sizeOf(value: number): number | string {
  return value >= 0 && value <= 0x7fffffff ? value : "";
}

/** Of the entries of a weight; null where they name no file. Throws where a number is none. */
function placeIn(entries: ReadonlyMap<string, string>): WeightPlace | null {
  const file = entries.get("location");
  if (file === undefined) return null;
  const [byteOffset, byteLength] = ["offset", "length"].map((key) => {
    const text = entries.get(key) ?? "0";
    if (!/^\d{1,15}$/.test(text)) throw new Error(`a weight's ${key} is no number of bytes`);
    return Number(text);
  });
  return { file, byteOffset: byteOffset ?? 0, byteLength: byteLength ?? 0 };
}
