/** The fields of `millrace.json` that every engine's schema is built from. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { type ManifestBase, manifestFileName, manifestVersion } from "./manifest.js";

/** Names that callers can send and that a folder can have. */
export const modelName: z.ZodString = z
  .string()
  .regex(/^[\w.-]{1,100}$/, "expected 1 to 100 letters, digits, '.', '_' and '-'");

export const size: z.ZodInt = z.int().positive();
export const tokenId: z.ZodInt = z.int().nonnegative();
/** Files of the folder itself: a manifest cannot reach outside of it. */
export const fileName: z.ZodString = z
  .string()
  .regex(/^(?!\.)[^/\\\0]+$/, "expected the name of a file in the folder");

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits");
const precision = z.enum(["f32", "int8"]);

/** All of `ManifestBase` but `task` and `engine`, which are each engine's own. */
type BaseField = Exclude<keyof ManifestBase, "task" | "engine">;
type LanguageField = "sourceLanguage" | "targetLanguage";

export const baseFields: {
  readonly [Field in Exclude<BaseField, LanguageField>]: z.ZodType<ManifestBase[Field]>;
} & { readonly [Field in LanguageField]: z.ZodExactOptional<z.ZodString> } = {
  manifestVersion: z.literal(manifestVersion),
  name: modelName,
  family: z.string().min(1).max(100),
  sourceLanguage: z.string().exactOptional(),
  targetLanguage: z.string().exactOptional(),
  precision,
  layerPrecision: z.record(z.string(), precision),
  quantization: z.object({ weightBits: z.literal(8), neighbourSumMax: size.max(254) }).nullable(),
  source: z.object({ modelType: z.string(), weightsSha256: sha256, weightsBytes: size }),
  fileSha256: z.record(fileName, sha256),
  madeWith: z.object({
    millrace: z.string(),
    onnxOpset: size,
    calibration: z.string().exactOptional(),
  }),
};

/** What a manifest says that contradicts itself. */
export function wrongManifest(message: string): MillraceError {
  return new MillraceError("model_folder_invalid", `${manifestFileName}: ${message}`);
}
