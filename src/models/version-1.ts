/** A folder that Millrace 0.1 wrote, before there were engines: the same model in other words. */
import { z } from "zod";
import { manifestVersion } from "./manifest.js";
import { neighbourSumUnbounded } from "./quantization.js";

const versionOne = z.looseObject({
  task: z.literal("translation"),
  precision: z.enum(["f32", "int8"]),
  shape: z.looseObject({ vocabulary: z.unknown().optional() }),
});

/** The value in the words of today's version, to be checked as any other; as it is where it is no version 1. */
export function fromVersion1(value: unknown): unknown {
  const found = versionOne.safeParse(value);
  if (!found.success) return value;
  const { shape, precision, ...rest } = found.data;
  const { vocabulary, ...sizes } = shape;
  return {
    ...rest,
    precision,
    manifestVersion,
    engine: "generation",
    task: "translate",
    // It stored one size and one tokenizer whatever the model had.
    shape: { ...sizes, sourceVocabulary: vocabulary, targetVocabulary: vocabulary },
    quantization:
      precision === "int8" ? { weightBits: 8, neighbourSumMax: neighbourSumUnbounded } : null,
  };
}
