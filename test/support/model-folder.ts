import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { GenerationManifest } from "#src/models/manifest-generation.js";

export function sha256Of(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** A manifest of a small Marian model; the files named in it have the given contents. */
export function manifestOf(
  name: string,
  contents: Readonly<Record<string, string>> = {},
): GenerationManifest {
  const files = {
    encoder: "encoder.onnx",
    decoder: "decoder.onnx",
    weights: "weights.bin",
    tokenizer: "tokenizer.json",
  };
  const hashes = Object.values(files).map((file) => [file, sha256Of(contents[file] ?? file)]);
  return {
    manifestVersion: 2,
    name,
    engine: "generation",
    graphVersion: 2,
    task: "translate",
    family: "marian",
    sourceLanguage: "en",
    targetLanguage: "zh",
    precision: "int8",
    layerPrecision: { "encoder.0.fc1": "int8", "encoder.0.fc2": "f32" },
    quantization: { weightBits: 8, neighbourSumMax: 128 },
    files,
    shape: {
      sourceVocabulary: 6000,
      targetVocabulary: 6000,
      width: 256,
      encoderLayers: 6,
      decoderLayers: 2,
      decoderHeads: 4,
      positions: 128,
    },
    generation: {
      startTokenId: 2,
      endTokenId: 0,
      padTokenId: 2,
      unknownTokenId: 1,
      forcedEndTokenId: 0,
      badWords: [[2]],
      beams: 4,
      maxLength: 128,
      lengthPenalty: 1,
      earlyStopping: false,
      renormalizeLogits: false,
    },
    limits: { inputTokensMax: 128, outputTokensMax: 128 },
    source: { modelType: "marian", weightsSha256: sha256Of("source"), weightsBytes: 29_626_464 },
    fileSha256: Object.fromEntries(hashes),
    madeWith: { millrace: "0.1.0", onnxOpset: 17 },
  };
}

/** Writes a folder whose hashes are right and whose graphs are no graphs; returns its path. */
export async function writeModelFolder(
  dir: string,
  manifest: object,
  contents: Readonly<Record<string, string>> = {},
): Promise<string> {
  await mkdir(dir, { recursive: true });
  for (const file of ["encoder.onnx", "decoder.onnx", "weights.bin", "tokenizer.json"]) {
    await writeFile(join(dir, file), contents[file] ?? file);
  }
  await writeFile(join(dir, "millrace.json"), JSON.stringify(manifest));
  return dir;
}
