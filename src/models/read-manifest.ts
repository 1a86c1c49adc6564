/** Reads `millrace.json` and holds the folder to it. */
import { join } from "node:path";
import { apiLimits, MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { hashFile } from "./file-hash.js";
import { type ModelManifest, manifestFileName, manifestVersion } from "./manifest.js";
import { checkShape, isMissing, readJsonFile } from "./read-json.js";

const precision = z.enum(["f32", "int8"]);
const size = z.int().positive();
const tokenId = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits");
/** Files of the folder itself: a manifest cannot reach outside of it. */
const fileName = z.string().regex(/^(?!\.)[^/\\\0]+$/, "expected the name of a file in the folder");

const manifestSchema: z.ZodType<ModelManifest> = z.object({
  manifestVersion: z.literal(manifestVersion),
  name: z.string().regex(/^[\w.-]{1,100}$/, "expected letters, digits, '.', '_' and '-'"),
  task: z.literal("translation"),
  family: z.literal("marian"),
  sourceLanguage: z.string().exactOptional(),
  targetLanguage: z.string().exactOptional(),
  precision,
  layerPrecision: z.record(z.string(), precision),
  files: z.object({
    encoder: fileName,
    decoder: fileName,
    weights: fileName,
    tokenizer: fileName,
  }),
  shape: z.object({
    vocabulary: size,
    width: size,
    encoderLayers: size,
    decoderLayers: size,
    decoderHeads: size,
    positions: size,
  }),
  generation: z.object({
    startTokenId: tokenId,
    endTokenId: tokenId,
    padTokenId: tokenId,
    unknownTokenId: tokenId.nullable(),
    forcedEndTokenId: tokenId.nullable(),
    badWords: z.array(z.array(tokenId).min(1)),
    beams: size.max(apiLimits.beamsMax),
    maxLength: size,
    lengthPenalty: z.number(),
    earlyStopping: z.union([z.boolean(), z.literal("never")]),
    renormalizeLogits: z.boolean(),
  }),
  limits: z.object({ inputTokensMax: size, outputTokensMax: size }),
  source: z.object({ modelType: z.string(), weightsSha256: sha256, weightsBytes: size }),
  fileSha256: z.record(fileName, sha256),
  madeWith: z.object({
    millrace: z.string(),
    onnxOpset: size,
    calibration: z.string().exactOptional(),
  }),
});

/** Throws `model_folder_invalid`, which names the field, where the folder has no manifest or a wrong one. */
export async function readManifest(dir: string): Promise<ModelManifest> {
  const path = join(dir, manifestFileName);
  const value = await readJsonFile(path);
  checkVersion(path, value);
  const manifest = checkShape(path, value, manifestSchema);
  checkWhole(manifest);
  return manifest;
}

/** Throws `model_folder_invalid`, which names the file, where one is missing or is not what convert wrote. */
export async function verifyFiles(dir: string, manifest: ModelManifest): Promise<void> {
  for (const [name, expected] of Object.entries(manifest.fileSha256)) {
    const found = await hashOf(dir, name);
    if (found === expected) continue;
    const hashes = `its SHA-256 is ${found}, ${manifestFileName} says ${expected}`;
    throw new MillraceError("model_folder_invalid", `${join(dir, name)} was changed: ${hashes}`);
  }
}

function checkVersion(path: string, value: unknown): void {
  const found = z.looseObject({ manifestVersion: z.unknown() }).safeParse(value);
  const version = found.success ? found.data.manifestVersion : undefined;
  if (version === manifestVersion) return;
  const versions = `manifestVersion ${JSON.stringify(version)}; this Millrace reads ${manifestVersion}`;
  const cure = "convert the model again with this version, or run the Millrace that wrote it";
  throw new MillraceError("model_folder_invalid", `${path} has ${versions}: ${cure}`);
}

/** What no single field can show. */
function checkWhole({ files, fileSha256, shape, generation, limits }: ModelManifest): void {
  for (const name of Object.values(files)) {
    if (!Object.hasOwn(fileSha256, name)) throw wrong(`fileSha256 lacks ${name}`);
  }
  const { startTokenId, endTokenId, padTokenId, unknownTokenId, forcedEndTokenId } = generation;
  const ids = { startTokenId, endTokenId, padTokenId, unknownTokenId, forcedEndTokenId };
  for (const [field, id] of Object.entries(ids)) {
    if (id !== null && id >= shape.vocabulary) {
      throw wrong(`generation.${field} ${id} is not in the vocabulary of ${shape.vocabulary}`);
    }
  }
  if (shape.width % shape.decoderHeads !== 0) {
    throw wrong(
      `shape.width ${shape.width} is not a multiple of decoderHeads ${shape.decoderHeads}`,
    );
  }
  const lengths = { ...limits, maxLength: generation.maxLength };
  for (const [field, length] of Object.entries(lengths)) {
    if (length > shape.positions) {
      throw wrong(`${field} ${length} is over the ${shape.positions} positions of the model`);
    }
  }
}

async function hashOf(dir: string, name: string): Promise<string> {
  try {
    return await hashFile(join(dir, name));
  } catch (cause) {
    const what = isMissing(cause) ? "is missing" : "cannot be read";
    throw new MillraceError("model_folder_invalid", `${join(dir, name)} ${what}`, { cause });
  }
}

function wrong(message: string): MillraceError {
  return new MillraceError("model_folder_invalid", `${manifestFileName}: ${message}`);
}
