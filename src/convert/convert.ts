/**
 * READ FIRST. From a Hugging Face folder to a Millrace folder, tensor by tensor: never more of the weights in memory than one
 * product needs. What the model is, is known to its family (families.ts); what is here is the same for all of them. Everything
 * that can be checked is checked first, and output-folder.ts sees to it that there is no half folder.
 */
import { chmod, copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { hashFile } from "../models/file-hash.js";
import { manifestFileName, manifestVersion, type Precision } from "../models/manifest-base.js";
import { modelName } from "../models/manifest-fields.js";
import { shortlistText } from "../models/manifest-generation.js";
import { neighbourSumExact } from "../models/quantization.js";
import { parseManifest } from "../models/read-manifest.js";
import { version } from "../version.js";
import { type CalibrationReport, calibrate, readCalibrationLines } from "./calibrate.js";
import { openModel } from "./families.js";
import type {
  CalibrationRuns,
  CommonFields,
  OpenedModel,
  ShortlistText,
  WrittenManifest,
} from "./family.js";
import type { DecoderAttention } from "./marian/decoder-attention.js";
import { GraphBuilder, onnxOpset } from "./onnx/graph-builder.js";
import { checkTarget, OutputFolder, outputError, tidyUp } from "./output-folder.js";
import type { ProductMode } from "./products.js";
import { readShortlistLines } from "./shortlist-text.js";
import { WeightsFile } from "./weights-file.js";

export interface ConvertOptions {
  readonly modelDir: string;
  readonly outDir: string;
  readonly precision: Precision;
  /** Sentences of the source language, one a line, on which int8 is calibrated. */
  readonly calibrationFile: string;
  /** Default: the name of the output folder. */
  readonly name?: string;
  /** Vectors of texts too, of a model that is for something else: a second model in the folder, `NAME-embeddings`. */
  readonly embeddings?: boolean;
  /** Of a model that generates: it may generate what is chosen from this text, and nothing else. Default: everything. */
  readonly shortlist?: ShortlistChoice;
  /** As `OpenSourceOptions.attention`: for tests and measurements, no model needs it. */
  readonly attention?: DecoderAttention;
  /** Replaces an existing output folder, once the new one is whole. */
  readonly force: boolean;
  readonly onProgress: (progress: ConvertProgress) => void;
  readonly signal: AbortSignal;
}

export interface ShortlistChoice {
  /** Sentences of the target language, one a line, UTF-8. */
  readonly file: string;
  /** Tokens that occur less often are left out. */
  readonly minCount: number;
}

export interface ConvertProgress {
  readonly step: "choose" | "hash" | "calibrate" | "write";
  /** From 0 to 1. */
  readonly done: number;
}

export interface ConvertResult {
  readonly dir: string;
  readonly manifest: WrittenManifest;
  /** Of the models that share its folder. */
  readonly further: readonly WrittenManifest[];
  /** Null in float32. */
  readonly calibration: CalibrationReport | null;
  /** What it may generate of all that the model knows, for people; null where that is everything. */
  readonly shortlist: string | null;
}

/** What a conversion knows before it writes. */
interface Conversion {
  readonly options: ConvertOptions;
  readonly name: string;
  readonly model: OpenedModel;
  /** Null in float32. */
  readonly runs: CalibrationRuns | null;
}

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
  await using model = await openModel(options.modelDir, {
    embeddings: options.embeddings ?? false,
    shortlist: await readShortlistText(options),
    ...(options.attention === undefined ? {} : { attention: options.attention }),
  });
  const runs = options.precision === "int8" ? await readRuns(options.calibrationFile, model) : null;
  await using output = await OutputFolder.begin(outDir);
  const result = await writeFolder({ options, name, model, runs }, output.dir);
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

/** Throws `option_invalid` where the file or the count is of no use. */
async function readShortlistText(options: ConvertOptions): Promise<ShortlistText | null> {
  const { shortlist, signal } = options;
  if (shortlist === undefined) return null;
  const { minCount } = shortlist;
  if (!Number.isSafeInteger(minCount) || minCount < 1) {
    const message = `--shortlist-min-count ${minCount} is not a whole number of 1 or more`;
    throw new MillraceError("option_invalid", message);
  }
  return {
    lines: await readShortlistLines(shortlist.file),
    minCount,
    onProgress: (done) => {
      signal.throwIfAborted();
      options.onProgress({ step: "choose", done });
    },
  };
}

/** Throws `option_invalid` where the file cannot be read or has no sentence that the model takes. */
async function readRuns(path: string, model: OpenedModel): Promise<CalibrationRuns> {
  const runs = model.calibration(await readCalibrationLines(path));
  if (runs.count > 0) return runs;
  throw new MillraceError("option_invalid", `${path} has no sentence to calibrate on`);
}

async function writeFolder(
  conversion: Conversion,
  dir: string,
): Promise<Omit<ConvertResult, "dir">> {
  const { options, name, model, runs } = conversion;
  const { weights } = model;
  const weightsSha256 = await weights.sha256((doneBytes) => {
    options.signal.throwIfAborted();
    options.onProgress({ step: "hash", done: doneBytes / weights.byteLength });
  });
  const calibration = runs === null ? null : await calibrateModel(conversion, runs, dir);
  const modeOf = (product: string): ProductMode =>
    calibration?.modes.get(product) ?? { kind: "f32" };
  await writeGraphs(conversion, { dir, modeOf, step: "write" });
  await writeCopies(model, dir);
  const common: CommonFields = {
    manifestVersion,
    name,
    precision: options.precision,
    layerPrecision: Object.fromEntries(
      model.products.map((product): [string, Precision] => [
        product,
        modeOf(product).kind === "int8" ? "int8" : "f32",
      ]),
    ),
    quantization:
      options.precision === "int8" ? { weightBits: 8, neighbourSumMax: neighbourSumExact } : null,
    source: { modelType: model.modelType, weightsSha256, weightsBytes: weights.byteLength },
    fileSha256: await hashesOf(model, dir),
    madeWith: {
      millrace: version,
      onnxOpset,
      ...(calibration === null ? {} : { calibration: calibration.sentencesText }),
    },
  };
  const manifest = await writeManifest(join(dir, manifestFileName), model.manifest(common));
  const further: WrittenManifest[] = [];
  for (const [part, make] of model.further) {
    const path = join(dir, `${basename(manifestFileName, ".json")}.${part}.json`);
    further.push(await writeManifest(path, make({ ...common, name: `${name}-${part}` })));
  }
  return { manifest, further, calibration, shortlist: shortlistOf(manifest) };
}

function shortlistOf(manifest: WrittenManifest): string | null {
  if (manifest.engine !== "generation" || manifest.shortlist === undefined) return null;
  return shortlistText(manifest.shortlist, manifest.shape);
}

/** Lists the model's own files only. */
async function writeManifest(path: string, draft: WrittenManifest): Promise<WrittenManifest> {
  const own = new Set<string>(Object.values(draft.files));
  const hashes = Object.entries(draft.fileSha256).filter(([name]) => own.has(name));
  const manifest = { ...draft, fileSha256: Object.fromEntries(hashes) };
  await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
  // What the server would refuse is a bug here, and must not be found there.
  parseManifest(path, manifest);
  return manifest;
}

async function writeCopies({ copies }: OpenedModel, dir: string): Promise<void> {
  for (const [name, file] of copies) {
    if ("text" in file) {
      await writeFile(join(dir, name), file.text);
      continue;
    }
    await copyFile(file.path, join(dir, name));
    // copyFile brings the permissions along, and a downloaded file may be read-only.
    await chmod(join(dir, name), 0o644);
  }
}

async function hashesOf(
  { graphs, weightsName, copies }: OpenedModel,
  dir: string,
): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const name of [...graphs.map(({ fileName }) => fileName), weightsName, ...copies.keys()]) {
    hashes[name] = await hashFile(join(dir, name));
  }
  return hashes;
}

/** Writes a float32 model whose products are watched, runs the sentences through it, and removes it again. */
async function calibrateModel(
  conversion: Conversion,
  runs: CalibrationRuns,
  dir: string,
): Promise<CalibrationReport> {
  const { options, model } = conversion;
  const watchedDir = join(dir, "watched");
  await mkdir(watchedDir);
  await writeGraphs(conversion, {
    dir: watchedDir,
    modeOf: () => ({ kind: "watched" }),
    step: "calibrate",
  });
  const report = await calibrate({
    dir: watchedDir,
    runs,
    products: model.products,
    onProgress: (done) => {
      options.signal.throwIfAborted();
      options.onProgress({ step: "calibrate", done: 0.2 + 0.8 * done });
    },
  });
  await rm(watchedDir, { recursive: true });
  return report;
}

async function writeGraphs(
  { options, model }: Conversion,
  target: {
    readonly dir: string;
    readonly modeOf: (product: string) => ProductMode;
    readonly step: "calibrate" | "write";
  },
): Promise<void> {
  const { dir, modeOf, step } = target;
  const share = step === "write" ? 1 : 0.2;
  const expected = model.weights.byteLength;
  let readBytes = 0;
  const read = async (name: string) => {
    options.signal.throwIfAborted();
    const values = await model.read(name);
    readBytes += values.byteLength;
    options.onProgress({ step, done: share * Math.min(1, readBytes / expected) });
    return values;
  };
  const { weightsName } = model;
  await using weights = await WeightsFile.create(join(dir, weightsName), weightsName);
  for (const { fileName, add, borrows } of model.graphs) {
    if (borrows === true && step === "calibrate") continue;
    const graph = new GraphBuilder(basename(fileName, ".onnx"));
    await add({ graph, weights, read, modeOf });
    await writeFile(join(dir, fileName), graph.encode());
  }
  await weights.finish();
}
