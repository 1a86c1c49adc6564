/** The tables of a vocabulary: looked up on the way in, multiplied on the way out, often one and the same. */
import { MillraceError } from "millrace-client/wire";
import {
  addInt8Product,
  addWatch,
  type Int8Weights,
  type ProductWriter,
  transpose,
} from "./products.js";
import { quantizeWeights } from "./quantize.js";
import type { StoredTensor } from "./weights-file.js";

/**
 * Rows of the table for each id. In models of int8 products the table is stored as float16: half the bytes, and the
 * lookup stays float (a half has 11 bits, an int8 of the same row would have 8).
 */
export async function addLookup(
  writer: ProductWriter,
  table: string,
  from: {
    readonly ids: string;
    readonly shape: readonly [rows: number, width: number];
    readonly halves: boolean;
  },
): Promise<string> {
  const { graph } = writer;
  if (!from.halves) {
    return graph.node("Gather", [
      graph.weight(await storeTable(writer, table, from.shape)),
      from.ids,
    ]);
  }
  const name = `${table}.f16`;
  const stored =
    writer.weights.find(name) ??
    (await writer.weights.write(
      { name, type: "f16", shape: from.shape },
      halvesOf(table, await writer.read(table)),
    ));
  const rows = graph.node("Gather", [graph.weight(stored), from.ids]);
  return graph.node("Cast", [rows], { attributes: { to: 1 } });
}

/** Throws `weights_invalid` where a value is over the largest half: cut down to it, its word would be another one. */
function halvesOf(table: string, values: Float32Array): Uint16Array {
  const over = values.find((value) => Math.abs(value) > float16Max);
  if (over === undefined) return toFloat16(values);
  const limit = `over ${float16Max}, the most that a table in int8 models holds; --precision f32 keeps it`;
  throw new MillraceError("weights_invalid", `tensor ${table} has the value ${over}, ${limit}`);
}

/** logits = x·tableᵀ + bias, of all rows of the table or `only` of some. */
export async function addOutputProduct(
  writer: ProductWriter,
  x: string,
  spec: {
    readonly name: string;
    readonly table: string;
    readonly bias: string;
    readonly shape: readonly [rows: number, width: number];
    readonly only?: Int32Array | null;
  },
): Promise<string> {
  const { graph, weights } = writer;
  const { only = null } = spec;
  const [, width] = spec.shape;
  const rows = only?.length ?? spec.shape[0];
  const bias = await weights.write(
    { name: spec.bias, type: "f32", shape: [rows] },
    pickRows(await writer.read(spec.bias), 1, only),
  );
  const mode = writer.modeOf(spec.name);
  if (mode.kind === "int8") {
    const quantized = quantizeWeights(pickRows(await writer.read(spec.table), width, only), width);
    const stored: Int8Weights = {
      weight: await weights.write(
        { name: `${spec.name}.weight`, type: "i8", shape: [width, rows] },
        transpose(quantized.values, width),
      ),
      scales: await weights.write(
        { name: `${spec.name}.scales`, type: "f32", shape: [rows] },
        quantized.scales,
      ),
      bias: graph.weight(bias),
    };
    return addInt8Product(graph, stored, { name: spec.name, x, activation: mode.activation });
  }
  if (mode.kind === "watched") addWatch(graph, { name: spec.name, inputWidth: width }, x);
  const table =
    only === null
      ? await storeTable(writer, spec.table, spec.shape)
      : await weights.write(
          { name: `${spec.name}.weight`, type: "f32", shape: [rows, width] },
          pickRows(await writer.read(spec.table), width, only),
        );
  const inputs = [x, graph.weight(table), graph.weight(bias)];
  return graph.node("Gemm", inputs, { attributes: { transB: 1 } });
}

/** Those rows of `[rows, width]`, in that order; all of them where none are named. */
function pickRows(values: Float32Array, width: number, only: Int32Array | null): Float32Array {
  if (only === null) return values;
  const picked = new Float32Array(only.length * width);
  for (const [place, row] of only.entries()) {
    picked.set(values.subarray(row * width, (row + 1) * width), place * width);
  }
  return picked;
}

async function storeTable(
  writer: ProductWriter,
  name: string,
  shape: readonly [number, number],
): Promise<StoredTensor> {
  return (
    writer.weights.find(name) ??
    (await writer.weights.write({ name, type: "f32", shape }, await writer.read(name)))
  );
}

/** Rounds to nearest, ties to even; magnitudes beyond the largest half become that half. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let index = 0; index < halves.length; index += 1) halves[index] = halfOf(bits[index] ?? 0);
  return halves;
}

const largestHalf = 0x7bff;
const float16Max = 65_504;

function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 0xff) - 127 + 15;
  const mantissa = bits & 0x7fffff;
  if (exponent >= 31) return sign | largestHalf;
  if (exponent <= -11) return sign;
  // A subnormal half: the implicit one becomes explicit and moves down with the mantissa.
  const whole = exponent <= 0 ? mantissa | 0x800000 : (exponent << 23) | mantissa;
  const shift = exponent <= 0 ? 14 - exponent : 13;
  const rest = whole % 2 ** shift;
  const floor = Math.floor(whole / 2 ** shift);
  const half = 2 ** (shift - 1);
  const up = rest > half || (rest === half && floor % 2 === 1) ? 1 : 0;
  return sign | Math.min(floor + up, largestHalf);
}
