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
/** Names that are kept while it is not known which of them are inputs. */
const initializersMax = 4_000_000;

/** Throws `model_folder_invalid`, which names the file, where it is missing, truncated or no ONNX graph. */
export async function readGraph(path: string): Promise<GraphFacts> {
  try {
    await using handle = await open(path, "r");
    const { size } = await handle.stat();
    return await new GraphReader(new FieldReader(handle)).model(size);
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
        initializers.add(await this.#initializer(field, dataFiles));
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

  /** Its name. */
  async #initializer(at: Field, dataFiles: Set<string>): Promise<string> {
    let name = "";
    for await (const field of this.#reader.fields(at.from, at.until)) {
      if (field.id === tensorFields.name) name = await this.#name(field);
      if (field.id !== tensorFields.externalData || field.number !== null) continue;
      const entry = { key: "", value: "" };
      for await (const part of this.#reader.fields(field.from, field.until)) {
        if (part.id === entryFields.key) entry.key = await this.#name(part);
        if (part.id === entryFields.value) entry.value = await this.#name(part);
      }
      if (entry.key === "location") dataFiles.add(entry.value);
      if (dataFiles.size > dataFilesMax) throw new Error(`more than ${dataFilesMax} data files`);
    }
    return name;
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
