/** The fields of `millrace.json` that every engine's schema is built from. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import {
  type ConvertedManifest,
  type ManifestBase,
  manifestFileName,
  manifestVersion,
} from "./manifest-base.js";

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

/** Each engine says by itself which tasks it has, and what it is called. */
type OwnField = "task" | "engine";
type FieldsOf<Manifest extends ManifestBase, Field extends keyof Manifest> = {
  readonly [Each in Field]: z.ZodType<Manifest[Each]>;
};

export const taskName: z.ZodString = z
  .string()
  .regex(/^[a-z][\w-]{0,63}$/, "expected the name of a task");

/** Of a model whose graphs are somebody else's. */
export const baseFields: FieldsOf<ManifestBase, Exclude<keyof ManifestBase, OwnField>> = {
  manifestVersion: z.literal(manifestVersion),
  name: modelName,
  family: z.string().min(1).max(100),
  precision: z.enum(["f32", "int8", "graph"]),
  quantization: z.object({ weightBits: z.literal(8), neighbourSumMax: size.max(254) }).nullable(),
  fileSha256: z.record(fileName, sha256),
};

export const convertedFields: FieldsOf<
  ConvertedManifest,
  Exclude<keyof ConvertedManifest, OwnField>
> = {
  ...baseFields,
  precision,
  layerPrecision: z.record(z.string(), precision),
  source: z.object({ modelType: z.string(), weightsSha256: sha256, weightsBytes: size }),
  madeWith: z.object({
    millrace: z.string(),
    onnxOpset: size,
    calibration: z.string().exactOptional(),
  }),
};

/** The name that a folder or a file gives where nobody wrote one. @throws MillraceError `model_folder_invalid` */
export function nameOfPath(name: string, path: string): string {
  if (modelName.safeParse(name).success) return name;
  const message = `${path}: ${JSON.stringify(name)} cannot be a model's name, which has 1 to 100 letters, digits, '.', '_' and '-'`;
  throw new MillraceError(
    "model_folder_invalid",
    `${message}: rename it, or write a name in ${manifestFileName}`,
  );
}

/** What a manifest says that contradicts itself. */
export function wrongManifest(message: string): MillraceError {
  return new MillraceError("model_folder_invalid", `${manifestFileName}: ${message}`);
}

/** Throws where a file of the model has no hash. */
export function checkFiles(
  files: Readonly<Record<string, string>>,
  fileSha256: ManifestBase["fileSha256"],
): void {
  for (const name of Object.values(files)) {
    if (!Object.hasOwn(fileSha256, name)) throw wrongManifest(`fileSha256 lacks ${name}`);
  }
}
