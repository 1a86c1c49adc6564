/**
 * From a Hugging Face folder to a Millrace folder, tensor by tensor: never more of the weights in memory than one
 * product needs. Everything is written beside the target first and renamed at the end, so that there is no half folder.
 */
import { randomUUID } from "node:crypto";
import { chmod, copyFile, mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { hashFile } from "../models/file-hash.js";
import {
  manifestFileName,
  manifestVersion,
  type Precision,
  type TranslationManifest,
} from "../models/manifest.js";
import { checkShape, isMissing, readJsonFile } from "../models/read-json.js";
import { createTokenizer } from "../prepare/text/huggingface-tokenizers.js";
import { version } from "../version.js";
import { type CalibrationReport, calibrate } from "./calibrate.js";
import { languagesOf } from "./languages.js";
import { type MarianConfig, readMarianConfig } from "./marian-config.js";
import { addDecoder, addEncoder, marianProducts } from "./marian-graphs.js";
import { checkTensors, tensorReader } from "./marian-tensors.js";
import { GraphBuilder, onnxOpset } from "./onnx/graph-builder.js";
import type { ProductMode } from "./products.js";
import { SafetensorsFile } from "./safetensors.js";
import { WeightsFile } from "./weights-file.js";

export interface ConvertOptions {
  readonly modelDir: string;
  readonly outDir: string;
  readonly precision: Precision;
  /** Sentences of the source language, one a line, on which int8 is calibrated. */
  readonly calibrationFile: string;
  /** Default: the name of the output folder. */
  readonly name?: string;
  /** Replaces an existing output folder, once the new one is whole. */
  readonly force: boolean;
  readonly onProgress: (progress: ConvertProgress) => void;
  readonly signal: AbortSignal;
}

export interface ConvertProgress {
  readonly step: "hash" | "calibrate" | "write";
  /** From 0 to 1. */
  readonly done: number;
}

export interface ConvertResult {
  readonly dir: string;
  readonly manifest: TranslationManifest;
  /** Null in float32. */
  readonly calibration: CalibrationReport | null;
}

/** What a conversion knows before it writes. */
interface Source {
  readonly options: ConvertOptions;
  readonly config: MarianConfig;
  readonly file: SafetensorsFile;
  readonly tokenizerPath: string;
}

const fileNames = {
  encoder: "encoder.onnx",
  decoder: "decoder.onnx",
  weights: "weights.bin",
  tokenizer: "tokenizer.json",
} as const;

/**
 * @throws MillraceError `model_unsupported`, `model_folder_invalid`, `weights_invalid`, `tensor_missing`,
 * `tensor_mismatch` or `output_exists`; and the signal's reason. Nothing is left behind then.
 */
export async function convert(options: ConvertOptions): Promise<ConvertResult> {
  const outDir = resolve(options.outDir);
  await checkTarget(outDir, options.force);
  const config = await readMarianConfig(options.modelDir);
  const tokenizerPath = join(options.modelDir, fileNames.tokenizer);
  await checkTokenizer(tokenizerPath);
  await using file = await SafetensorsFile.open(join(options.modelDir, "model.safetensors"));
  checkTensors(file, config);
  const partDir = `${outDir}.part-${randomUUID().slice(0, 8)}`;
  await mkdir(partDir, { recursive: true });
  try {
    const result = await writeFolder({ options, config, file, tokenizerPath }, partDir);
    options.signal.throwIfAborted();
    if (options.force) await rm(outDir, { recursive: true, force: true });
    await rename(partDir, outDir);
    return { ...result, dir: outDir };
  } finally {
    await rm(partDir, { recursive: true, force: true });
  }
}

/** The server could not use the folder otherwise, and would be the first to say so. */
async function checkTokenizer(path: string): Promise<void> {
  const json = checkShape(path, await readJsonFile(path), z.looseObject({}));
  try {
    createTokenizer(json, {});
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError("model_folder_invalid", `${path} is no tokenizer: ${message}`, {
      cause,
    });
  }
}

async function checkTarget(outDir: string, force: boolean): Promise<void> {
  try {
    await stat(outDir);
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  if (!force) throw new MillraceError("output_exists", `${outDir} exists; --force replaces it`);
  // Only what convert wrote is replaced: a mistyped --out must not delete somebody's files.
  try {
    await stat(join(outDir, manifestFileName));
  } catch (cause) {
    const message = `${outDir} is no Millrace model folder (no ${manifestFileName}); it is not replaced`;
    throw new MillraceError("output_exists", message, { cause });
  }
}

async function writeFolder(source: Source, dir: string): Promise<Omit<ConvertResult, "dir">> {
  const { options, config, file } = source;
  const weightsSha256 = await file.sha256((doneBytes) => {
    options.signal.throwIfAborted();
    options.onProgress({ step: "hash", done: doneBytes / file.byteLength });
  });
  const calibration = options.precision === "int8" ? await calibrateSource(source, dir) : null;
  const modeOf = (product: string): ProductMode =>
    calibration?.modes.get(product) ?? { kind: "f32" };
  await writeGraphs(source, { dir, modeOf, step: "write" });
  await copyFile(source.tokenizerPath, join(dir, fileNames.tokenizer));
  // copyFile brings the permissions along, and a downloaded file may be read-only.
  await chmod(join(dir, fileNames.tokenizer), 0o644);
  const layerPrecision = Object.fromEntries(
    marianProducts(config).map((product) => {
      const precision: Precision = modeOf(product).kind === "int8" ? "int8" : "f32";
      return [product, precision];
    }),
  );
  const fileSha256: Record<string, string> = {};
  for (const name of Object.values(fileNames)) fileSha256[name] = await hashFile(join(dir, name));
  const manifest: TranslationManifest = {
    manifestVersion,
    name: options.name ?? basename(resolve(options.outDir)),
    task: "translation",
    family: "marian",
    ...(await languagesOf(options.modelDir)),
    precision: options.precision,
    layerPrecision,
    files: fileNames,
    shape: shapeOf(config),
    generation: config.generation,
    limits: { inputTokensMax: config.positions, outputTokensMax: config.positions },
    source: { modelType: config.modelType, weightsSha256, weightsBytes: file.byteLength },
    fileSha256,
    madeWith: {
      millrace: version,
      onnxOpset,
      ...(calibration === null ? {} : { calibration: calibration.sentencesText }),
    },
  };
  await writeFile(join(dir, manifestFileName), `${JSON.stringify(manifest, null, 2)}\n`);
  return { manifest, calibration };
}

/** Writes a float32 model whose products are watched, runs the sentences through it, and removes it again. */
async function calibrateSource(source: Source, dir: string): Promise<CalibrationReport> {
  const { options, config } = source;
  const watchedDir = join(dir, "watched");
  await mkdir(watchedDir);
  await writeGraphs(source, {
    dir: watchedDir,
    modeOf: () => ({ kind: "watched" }),
    step: "calibrate",
  });
  const report = await calibrate({
    dir: watchedDir,
    files: fileNames,
    tokenizerPath: source.tokenizerPath,
    sentencesPath: options.calibrationFile,
    shape: shapeOf(config),
    generation: config.generation,
    products: marianProducts(config),
    read: tensorReader(source.file, config),
    onProgress: (done) => {
      options.signal.throwIfAborted();
      options.onProgress({ step: "calibrate", done: 0.2 + 0.8 * done });
    },
  });
  await rm(watchedDir, { recursive: true });
  return report;
}

async function writeGraphs(
  { options, config, file }: Source,
  target: {
    readonly dir: string;
    readonly modeOf: (product: string) => ProductMode;
    readonly step: "calibrate" | "write";
  },
): Promise<void> {
  const { dir, modeOf, step } = target;
  const share = step === "write" ? 1 : 0.2;
  const expected = file.byteLength;
  let readBytes = 0;
  const readTensor = tensorReader(file, config);
  const read = async (name: string) => {
    options.signal.throwIfAborted();
    const values = await readTensor(name);
    readBytes += values.byteLength;
    options.onProgress({ step, done: share * Math.min(1, readBytes / expected) });
    return values;
  };
  await using weights = await WeightsFile.create(join(dir, fileNames.weights), fileNames.weights);
  for (const [name, add] of [
    ["encoder", addEncoder],
    ["decoder", addDecoder],
  ] as const) {
    const graph = new GraphBuilder(name);
    await add({ graph, weights, read, modeOf }, config);
    await writeFile(join(dir, fileNames[name]), graph.encode());
  }
  await weights.finish();
}

function shapeOf(config: MarianConfig): TranslationManifest["shape"] {
  return {
    vocabulary: config.decoderVocabularySize,
    width: config.width,
    encoderLayers: config.encoder.layers,
    decoderLayers: config.decoder.layers,
    decoderHeads: config.decoder.heads,
    positions: config.positions,
  };
}
