/**
 * The part of ONNX's protobuf schema (onnx.proto3) that Millrace writes and reads. Field numbers and names are
 * ONNX's own; protobufjs does the encoding.
 */
import protobuf from "protobufjs";
import { onnxElementTypes } from "../../models/onnx/element-types.js";

type Field = readonly [name: string, type: string, id: number, rule?: "repeated"];

const messages: Readonly<Record<string, readonly Field[]>> = {
  ModelProto: [
    ["irVersion", "int64", 1],
    ["producerName", "string", 2],
    ["producerVersion", "string", 3],
    ["graph", "GraphProto", 7],
    ["opsetImport", "OperatorSetIdProto", 8, "repeated"],
  ],
  OperatorSetIdProto: [
    ["domain", "string", 1],
    ["version", "int64", 2],
  ],
  GraphProto: [
    ["node", "NodeProto", 1, "repeated"],
    ["name", "string", 2],
    ["initializer", "TensorProto", 5, "repeated"],
    ["input", "ValueInfoProto", 11, "repeated"],
    ["output", "ValueInfoProto", 12, "repeated"],
  ],
  NodeProto: [
    ["input", "string", 1, "repeated"],
    ["output", "string", 2, "repeated"],
    ["name", "string", 3],
    ["opType", "string", 4],
    ["attribute", "AttributeProto", 5, "repeated"],
    ["domain", "string", 7],
  ],
  AttributeProto: [
    ["name", "string", 1],
    ["f", "float", 2],
    ["i", "int64", 3],
    ["ints", "int64", 8, "repeated"],
    ["type", "int32", 20],
  ],
  TensorProto: [
    ["dims", "int64", 1, "repeated"],
    ["dataType", "int32", 2],
    ["name", "string", 8],
    ["rawData", "bytes", 9],
    ["externalData", "StringStringEntryProto", 13, "repeated"],
    ["dataLocation", "int32", 14],
  ],
  StringStringEntryProto: [
    ["key", "string", 1],
    ["value", "string", 2],
  ],
  ValueInfoProto: [
    ["name", "string", 1],
    ["type", "TypeProto", 2],
  ],
  TypeProto: [["tensorType", "TensorTypeProto", 1]],
  TensorTypeProto: [
    ["elemType", "int32", 1],
    ["shape", "TensorShapeProto", 2],
  ],
  TensorShapeProto: [["dim", "DimensionProto", 1, "repeated"]],
  DimensionProto: [
    ["dimValue", "int64", 1],
    ["dimParam", "string", 2],
  ],
};

/** Those that our graphs have. */
export type ElementType = "f32" | "u8" | "i8" | "i32" | "i64" | "f16";

/** ONNX's numbers of them. */
export const elementType: Readonly<Record<ElementType, number>> = {
  f32: onnxElementTypes.FP32,
  u8: onnxElementTypes.UINT8,
  i8: onnxElementTypes.INT8,
  i32: onnxElementTypes.INT32,
  i64: onnxElementTypes.INT64,
  f16: onnxElementTypes.FP16,
};

/** ONNX's numbers of attribute types. */
export const attributeType = { float: 1, int: 2, ints: 7 } as const;

export interface AttributeMessage {
  name: string;
  f?: number;
  i?: number;
  ints?: number[];
  type: number;
}

export interface NodeMessage {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: AttributeMessage[];
  domain: string;
}

export interface TensorMessage {
  dims: number[];
  dataType: number;
  name: string;
  rawData?: Uint8Array;
  externalData?: { key: string; value: string }[];
  dataLocation?: number;
}

export interface ValueMessage {
  name: string;
  type: {
    tensorType: {
      elemType: number;
      shape: { dim: ({ dimValue: number } | { dimParam: string })[] };
    };
  };
}

export interface ModelMessage {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  opsetImport: { domain: string; version: number }[];
  graph: {
    name: string;
    node: NodeMessage[];
    initializer: TensorMessage[];
    input: ValueMessage[];
    output: ValueMessage[];
  };
}

function buildRoot(): protobuf.Root {
  const root = new protobuf.Root();
  for (const [name, fields] of Object.entries(messages)) {
    const type = new protobuf.Type(name);
    for (const [field, fieldType, id, rule] of fields) {
      type.add(new protobuf.Field(field, id, fieldType, rule));
    }
    root.add(type);
  }
  return root;
}

export const modelType: protobuf.Type = buildRoot().lookupType("ModelProto");

export function encodeModel(model: ModelMessage): Uint8Array {
  return modelType.encode(modelType.fromObject(model)).finish();
}
