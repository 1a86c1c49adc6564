/**
 * READ FIRST. From a Hugging Face folder to a Millrace folder, tensor by tensor: never more of the weights in memory than one
 * product needs. Everything that can be checked is checked first, and output-folder.ts sees to it that there is no half
 * folder.
 */
import { chmod, copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { hashFile } from "../models/file-hash.js";
import { manifestFileName, manifestVersion, type Precision } from "../models/manifest-base.js";
import { modelName } from "../models/manifest-fields.js";
import type { GenerationManifest } from "../models/manifest-generation.js";
import { neighbourSumExact } from "../models/quantization.js";
import { parseManifest } from "../models/read-manifest.js";
import { version } from "../version.js";
import { type CalibrationReport, calibrate, readSentences } from "./calibrate.js";
import { type MarianConfig, readMarianConfig } from "./marian/config.js";
import { addDecoder, addEncoder, marianProducts } from "./marian/graphs.js";
import { checkTensors, tensorReader } from "./marian/tensors.js";
import { GraphBuilder, onnxOpset } from "./onnx/graph-builder.js";
import { checkTarget, OutputFolder, outputError, tidyUp } from "./output-folder.js";
import type { ProductMode } from "./products.js";
import { SafetensorsFile } from "./reading/safetensors.js";
import { type Languages, readTokenizerFacts } from "./tokenizer-facts.js";
import {
  openTokenizers,
  type SourceTokenizers,
  sourceTokenizerName,
  targetTokenizerName,
} from "./tokenizers.js";
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
  readonly manifest: GenerationManifest;
  /** Null in float32. */
  readonly calibration: CalibrationReport | null;
}

/** What a conversion knows before it writes. */
interface Source {
  readonly options: ConvertOptions;
  readonly name: string;
  readonly config: MarianConfig;
  readonly languages: Languages;
  readonly tokenizers: SourceTokenizers;
  /** Null in float32. */
  readonly sentences: readonly (readonly number[])[] | null;
  readonly file: SafetensorsFile;
}

const fileNames = {
  encoder: "encoder.onnx",
  decoder: "decoder.onnx",
  weights: "weights.bin",
  tokenizer: sourceTokenizerName,
} as const;

/**
 * @throws MillraceError `option_invalid`, `output_exists`, `model_unsupported`, `model_folder_invalid`,
 * `weights_invalid`, `tensor_missing`, `tensor_mismatch` or `output_failed`; and the signal's reason. Nothing is left
 * behind then, and an old folder is as it was.
 */
export async function convert(options: ConvertOptions): Promise<ConvertResult> {
  const outDir = resolve(options.outDir);
  const name = nameOf(options, outDir);
  try {
    await tidyUp(outDir);
    await checkTarget(outDir, options.force);
    return await convertTo(outDir, name, options);
  } catch (error) {
    throw outputError(outDir, error);
  }
}

async function convertTo(
  outDir: string,
  name: string,
  options: ConvertOptions,
): Promise<ConvertResult> {
  const config = await readMarianConfig(options.modelDir);
  const facts = await readTokenizerFacts(options.modelDir);
  const tokenizers = await openTokenizers(options.modelDir, config, facts);
  const sentences =
    options.precision === "int8"
      ? await readSentences(options.calibrationFile, tokenizers.source, config.positions)
      : null;
  await using file = await SafetensorsFile.open(join(options.modelDir, "model.safetensors"));
  checkTensors(file, config);
  const { languages } = facts;
  const source = { options, name, config, languages, tokenizers, sentences, file };
  await using output = await OutputFolder.begin(outDir);
  const result = await writeFolder(source, output.dir);
  options.signal.throwIfAborted();
  await output.publish(options.force);
  return { ...result, dir: outDir };
}

/** Checked before any work: the server refuses a folder whose name no caller could send. */
export function nameOf(options: Pick<ConvertOptions, "name">, outDir: string): string {
  const name = options.name ?? basename(outDir);
  const checked = modelName.safeParse(name);
  if (checked.success) return name;
  const why = checked.error.issues.map((issue) => issue.message).join("; ");
  const cure =
    options.name === undefined ? "; --name gives the model another name than its folder" : "";
  throw new MillraceError("option_invalid", `the name ${JSON.stringify(name)}: ${why}${cure}`);
}

async function writeFolder(source: Source, dir: string): Promise<Omit<ConvertResult, "dir">> {
  const { options, config, file } = source;
  const weightsSha256 = await file.sha256((doneBytes) => {
    options.signal.throwIfAborted();
    options.onProgress({ step: "hash", done: doneBytes / file.byteLength });
  });
  const calibration =
    source.sentences === null ? null : await calibrateSource(source, source.sentences, dir);
  const modeOf = (product: string): ProductMode =>
    calibration?.modes.get(product) ?? { kind: "f32" };
  await writeGraphs(source, { dir, modeOf, step: "write" });
  for (const [name, path] of source.tokenizers.paths) {
    await copyFile(path, join(dir, name));
    // copyFile brings the permissions along, and a downloaded file may be read-only.
    await chmod(join(dir, name), 0o644);
  }
  const layerPrecision = Object.fromEntries(
    marianProducts(config).map((product): [string, Precision] => [
      product,
      modeOf(product).kind === "int8" ? "int8" : "f32",
    ]),
  );
  const draft = { calibration, layerPrecision, weightsSha256, files: filesOf(source) };
  const manifest = await manifestOf(source, dir, draft);
  await writeFile(join(dir, manifestFileName), `${JSON.stringify(manifest, null, 2)}\n`);
  // What the server would refuse is a bug here, and must not be found there.
  parseManifest(join(dir, manifestFileName), manifest);
  return { manifest, calibration };
}

function filesOf({ tokenizers }: Source): GenerationManifest["files"] {
  const targetTokenizer = targetTokenizerName;
  return tokenizers.paths.has(targetTokenizer) ? { ...fileNames, targetTokenizer } : fileNames;
}

async function manifestOf(
  { options, name, config, languages, file }: Source,
  dir: string,
  draft: {
    readonly calibration: CalibrationReport | null;
    readonly layerPrecision: Readonly<Record<string, Precision>>;
    readonly weightsSha256: string;
    readonly files: GenerationManifest["files"];
  },
): Promise<GenerationManifest> {
  const { calibration, layerPrecision, weightsSha256, files } = draft;
  const fileSha256: Record<string, string> = {};
  for (const each of Object.values(files)) fileSha256[each] = await hashFile(join(dir, each));
  return {
    manifestVersion,
    name,
    task: "translate",
    engine: "generation",
    family: "marian",
    ...languages,
    precision: options.precision,
    layerPrecision,
    quantization:
      options.precision === "int8" ? { weightBits: 8, neighbourSumMax: neighbourSumExact } : null,
    files,
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
}

/** Writes a float32 model whose products are watched, runs the sentences through it, and removes it again. */
async function calibrateSource(
  source: Source,
  sentences: readonly (readonly number[])[],
  dir: string,
): Promise<CalibrationReport> {
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
    sentences,
    shape: shapeOf(config),
    generation: config.generation,
    products: marianProducts(config),
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

function shapeOf(config: MarianConfig): GenerationManifest["shape"] {
  return {
    sourceVocabulary: config.vocabularySize,
    targetVocabulary: config.decoderVocabularySize,
    width: config.width,
    encoderLayers: config.encoder.layers,
    decoderLayers: config.decoder.layers,
    decoderHeads: config.decoder.heads,
    positions: config.positions,
  };
}
