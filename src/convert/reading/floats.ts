/** The float types of weights, turned into float32. */
import { MillraceError } from "millrace-client/wire";

export type FloatType = "F16" | "BF16" | "F32" | "F64";

export const floatBytes = { F16: 2, BF16: 2, F32: 4, F64: 8 } as const;

export function isFloatType(type: string): type is FloatType {
  return Object.hasOwn(floatBytes, type);
}

export function notFloats(name: string, type: string): MillraceError {
  const message = `tensor ${name} has type ${type}; expected F16, BF16, F32 or F64`;
  return new MillraceError("tensor_mismatch", message);
}

/** Writes the values of `bytes` to the start of `target`; returns how many. `bytes` must begin on an element. */
export function decodeFloats(type: FloatType, bytes: Uint8Array, target: Float32Array): number {
  const { buffer, byteOffset, byteLength } = bytes;
  switch (type) {
    case "F32": {
      target.set(new Float32Array(buffer, byteOffset, byteLength / 4));
      return byteLength / 4;
    }
    case "F64": {
      target.set(new Float64Array(buffer, byteOffset, byteLength / 8));
      return byteLength / 8;
    }
    case "BF16": {
      // A bfloat16 is the upper half of a float32.
      const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
      const words = new Uint32Array(target.buffer, target.byteOffset, halves.length);
      for (let at = 0; at < halves.length; at += 1) words[at] = (halves[at] ?? 0) << 16;
      return halves.length;
    }
    case "F16": {
      const halves = new Uint16Array(buffer, byteOffset, byteLength / 2);
      for (let at = 0; at < halves.length; at += 1) target[at] = floatOfHalf(halves[at] ?? 0);
      return halves.length;
    }
  }
}

/** IEEE 754 binary16: 1 bit sign, 5 bits exponent with bias 15, 10 bits fraction. */
function floatOfHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
