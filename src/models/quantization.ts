/** What int8 weights ask of a processor, and what this machine's gives. */
import { platform } from "../platform/platform.js";

/** How a model's int8 weights were quantised. */
export interface Quantization {
  readonly weightBits: 8;
  /**
   * The largest magnitude that two weights of one sign, multiplied by neighbouring inputs, add up to: what tells whether
   * 16-bit sums can overflow.
   */
  readonly neighbourSumMax: number;
}

/** 255 times this fits a signed 16-bit sum; 255 times one more does not. */
export const neighbourSumExact = 128;

/** `null`: it is not known, because the machine does not say. */
export interface Processor {
  readonly sixteenBitSums: boolean | null;
}

/**
 * From Node's name of the architecture and the flags that the kernel names. Only x64 multiplies u8 by s8 with 16-bit
 * sums, and not where it has VNNI.
 */
export function readProcessor(architecture: string, named: string | null): Processor {
  if (architecture !== "x64") return { sixteenBitSums: false };
  if (named === null) return { sixteenBitSums: null };
  const flags = new Set(named.split(/\s+/));
  return { sixteenBitSums: !flags.has("avx512_vnni") && !flags.has("avx_vnni") };
}

/** Of this machine. */
export function findProcessor(): Processor {
  return readProcessor(process.arch, platform.processorFlags());
}

/** Why this model runs worse on this processor than it could; null where nothing is to be said. */
export function processorWarning(
  { quantization }: { readonly quantization: Quantization | null },
  { sixteenBitSums }: Processor,
): string | null {
  if (sixteenBitSums !== true || !needsWideSums(quantization)) return null;
  return (
    "its int8 weights can overflow the 16-bit sums of this processor, which has no VNNI: " +
    "its products take a slower way that is exact. `millrace convert` makes weights that do not need it"
  );
}

/** Whether a run must not use 16-bit sums. */
export function needsWideSums(quantization: Quantization | null): boolean {
  return quantization !== null && quantization.neighbourSumMax > neighbourSumExact;
}
