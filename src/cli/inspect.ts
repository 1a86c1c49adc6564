/** What a model folder is, for `millrace inspect`. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { readBaseDir } from "../convert/encoder/modules.js";
import { openWeights } from "../convert/reading/weights.js";
import { engineTable } from "../models/engine-table.js";
import type { ModelManifest } from "../models/manifest.js";
import {
  type ConvertedManifest,
  type ManifestBase,
  manifestFileName,
} from "../models/manifest-base.js";
import { graphEnding } from "../models/programs/complete-tensors.js";
import {
  findProcessor,
  needsWideSums,
  processorWarning,
  type Quantization,
} from "../models/quantization.js";
import { readJsonFile } from "../models/read-json.js";
import { graphsIn, readModel, verifyFiles } from "../models/read-manifest.js";

export interface MillraceInspection {
  readonly kind: "millrace";
  readonly dir: string;
  readonly manifest: ModelManifest;
  readonly fileBytes: Readonly<Record<string, number>>;
  /** Why the files are not what convert wrote; null where all hashes are right. */
  readonly damage: string | null;
  /** Why it runs worse on this machine than it could; null where nothing is to be said. */
  readonly warning: string | null;
}

export interface HuggingFaceInspection {
  readonly kind: "hugging-face";
  readonly dir: string;
  readonly modelType: string | null;
  readonly architectures: readonly string[];
  /** Null where there are none that can be read. */
  readonly weights: {
    /** The file, or the index of its shards. */
    readonly fileName: string;
    readonly bytes: number;
    readonly tensors: number;
    readonly parameters: number;
    /** Parameters of each type; tensors that are one and the same count once. */
    readonly dtypes: Readonly<Record<string, number>>;
  } | null;
  /** Why `millrace convert` cannot read it; null where it can. */
  readonly obstacle: string | null;
  /** Values of `model_type` that `millrace convert` reads. */
  readonly convertible: readonly string[];
}

export type Inspection = MillraceInspection | HuggingFaceInspection;

const isGraph = (path: string): boolean => path.endsWith(graphEnding) && existsSync(path);

/** Throws `model_folder_invalid` where the folder is neither, or its manifest is wrong. */
export async function inspectFolder(dir: string): Promise<Inspection> {
  if (existsSync(join(dir, manifestFileName))) return await inspectMillrace(dir);
  if (["config.json", "modules.json"].some((name) => existsSync(join(dir, name)))) {
    return await inspectHuggingFace(dir);
  }
  if (isGraph(dir) || (await graphsIn(dir)).length > 0) return await inspectMillrace(dir);
  const message = `${dir} has no ${manifestFileName}, no config.json and no ONNX file: it is no model folder`;
  throw new MillraceError("model_folder_invalid", message);
}

async function inspectMillrace(path: string): Promise<MillraceInspection> {
  const { dir, manifest } = await readModel(path);
  const damage = await reasonOf(verifyFiles(dir, manifest));
  const fileBytes: Record<string, number> = {};
  for (const name of new Set([...filesOf(manifest), ...Object.keys(manifest.fileSha256)])) {
    const path = join(dir, name);
    // A missing file is what `damage` says.
    if (existsSync(path)) fileBytes[name] = (await stat(path)).size;
  }
  const warning = processorWarning(manifest, findProcessor());
  return { kind: "millrace", dir, manifest, fileBytes, damage, warning };
}

function filesOf({ files }: ModelManifest): string[] {
  return Object.values<string | readonly string[]>(files).flat();
}

async function inspectHuggingFace(dir: string): Promise<HuggingFaceInspection> {
  // Where the list of modules is wrong, the obstacle says so.
  const baseDir = await readBaseDir(dir).catch(() => dir);
  const config = await readConfig(join(baseDir, "config.json"));
  const modelType: unknown = config.get("model_type");
  const architectures: unknown = config.get("architectures");
  const weights = await reasonOr(readWeights(baseDir));
  return {
    kind: "hugging-face",
    dir,
    modelType: typeof modelType === "string" ? modelType : null,
    architectures: Array.isArray(architectures) ? architectures.map(String) : [],
    weights: typeof weights === "string" ? null : weights,
    obstacle: await reasonOf(tryToRead(dir)),
    convertible: (await loadFamilies()).knownModelTypes,
  };
}

async function readConfig(path: string): Promise<ReadonlyMap<string, unknown>> {
  if (!existsSync(path)) return new Map();
  return new Map(Object.entries((await readJsonFile(path)) ?? {}));
}

/** Only where it is needed: families bring the runtime with them, which no server shall load. */
const loadFamilies = () => import("../convert/families.js");

/** All that convert checks before it writes the first byte. */
async function tryToRead(dir: string): Promise<void> {
  const { openModel } = await loadFamilies();
  await using _model = await openModel(dir);
}

async function readWeights(dir: string): Promise<NonNullable<HuggingFaceInspection["weights"]>> {
  await using weights = await openWeights(dir);
  const dtypes: Record<string, number> = {};
  for (const { dtype, shape, isAlias } of weights.tensors.values()) {
    if (isAlias) continue;
    const count = shape.reduce((product, size) => product * size, 1);
    dtypes[dtype] = (dtypes[dtype] ?? 0) + count;
  }
  const parameters = Object.values(dtypes).reduce((sum, count) => sum + count, 0);
  const { fileName, byteLength, tensors } = weights;
  return { fileName, bytes: byteLength, tensors: tensors.size, parameters, dtypes };
}

/** Null, or the message of the MillraceError with which the work failed. */
async function reasonOf(work: Promise<void>): Promise<string | null> {
  const result = await reasonOr(work);
  return typeof result === "string" ? result : null;
}

async function reasonOr<Result>(work: Promise<Result>): Promise<Result | string> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof MillraceError) return error.message;
    throw error;
  }
}

/** For people: a line for each thing that is known. */
export function inspectionText(inspection: Inspection): string {
  const rows =
    inspection.kind === "millrace" ? millraceRows(inspection) : huggingFaceRows(inspection);
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join("\n");
}

type Row = readonly [label: string, value: string];

function millraceRows({ dir, manifest, fileBytes, damage, warning }: MillraceInspection): Row[] {
  const { quantization } = manifest;
  return [
    ["folder", `${dir} (Millrace model)`],
    ["name", manifest.name],
    ["task", `${manifest.task}, ${manifest.family}`],
    ["engine", manifest.engine],
    ...engineTable[manifest.engine].facts(manifest),
    ["precision", precisionText(manifest)],
    ...(quantization === null ? [] : [["weights", quantizationText(quantization)] as const]),
    ...(warning === null ? [] : [["this machine", warning] as const]),
    ...Object.entries(fileBytes).map(
      ([name, bytes]): Row => ["file", `${name}, ${sizeText(bytes)}`],
    ),
    ["hashes", damage ?? hashesText(manifest)],
    ...originRows(manifest),
  ];
}

function hashesText({ fileSha256 }: ManifestBase): string {
  if (Object.keys(fileSha256).length === 0)
    return "none are given: the files are taken as they are";
  return "all files are as convert wrote them";
}

/** Where it came from; nothing is known of a graph that is somebody else's. */
function originRows(manifest: ManifestBase | ConvertedManifest): Row[] {
  if (!("madeWith" in manifest)) return [];
  const { source, madeWith } = manifest;
  const calibration = madeWith.calibration === undefined ? "" : `, ${madeWith.calibration}`;
  return [
    [
      "source",
      `${source.modelType}, ${sizeText(source.weightsBytes)}, SHA-256 ${source.weightsSha256}`,
    ],
    ["made with", `Millrace ${madeWith.millrace}, ONNX opset ${madeWith.onnxOpset}${calibration}`],
  ];
}

function quantizationText(quantization: Quantization): string {
  const { weightBits, neighbourSumMax } = quantization;
  const exact = needsWideSums(quantization) ? "need 32-bit sums" : "are exact on every processor";
  return `${weightBits} bits, neighbours up to ${neighbourSumMax}: products ${exact}`;
}

/** `int8 (56 weight products int8, decoder.1.fc2 f32)`; only that much of a graph that is somebody else's. */
function precisionText(manifest: ManifestBase | ConvertedManifest): string {
  if (!("layerPrecision" in manifest)) return manifest.precision;
  const { layerPrecision, precision } = manifest;
  const others = Object.entries(layerPrecision).filter(([, value]) => value !== precision);
  const same = Object.keys(layerPrecision).length - others.length;
  const rest = others.map(([name, value]) => `${name} ${value}`);
  return `${precision} (${[`${same} weight products ${precision}`, ...rest].join(", ")})`;
}

function huggingFaceRows(inspection: HuggingFaceInspection): Row[] {
  const { dir, modelType, architectures, weights, obstacle, convertible } = inspection;
  const types = Object.entries(weights?.dtypes ?? {}).map(([type, count]) => `${count} ${type}`);
  const readable = `yes: millrace convert ${dir} --out DIR`;
  return [
    ["folder", `${dir} (Hugging Face model)`],
    ["family", `${modelType ?? "unknown"} ${architectures.join(", ")}`.trim()],
    [
      "weights",
      weights === null
        ? "none that can be read"
        : `${weights.fileName}, ${sizeText(weights.bytes)}, ${weights.tensors} tensors`,
    ],
    ["parameters", types.length === 0 ? "unknown" : types.join(", ")],
    ["convert", obstacle === null ? readable : `no: ${obstacle}`],
    ["known", `families that convert reads: ${convertible.join(", ")}`],
  ];
}

function sizeText(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
