/**
 * What `convert` asks of an architecture: one folder beside this file exports a Family, families.ts lists them. Everything
 * that is not said here (the output folder, progress, hashes, quantisation) is written once, in convert.ts.
 */
import type { ModelManifest } from "../models/manifest.js";
import type { ConvertedManifest } from "../models/manifest-base.js";
import type { DecoderAttention } from "./marian/decoder-attention.js";
import type { ProductWriter, ReadTensor } from "./products.js";
import type { Weights } from "./reading/weights.js";

export interface Family {
  /** Values of `model_type` in config.json. */
  readonly modelTypes: readonly string[];
  /**
   * Reads and checks all of the folder but the values of its tensors. Throws `model_folder_invalid`, `model_unsupported`,
   * `weights_invalid`, `tensor_missing` or `tensor_mismatch`.
   */
  readonly open: (modelDir: string, options: OpenSourceOptions) => Promise<OpenedModel>;
}

export interface OpenSourceOptions {
  /** Of a model that is for something else, vectors of texts too. */
  readonly embeddings: boolean;
  /** Of a model that generates: what the tokens that it may generate are chosen from. Null: it may generate all. */
  readonly shortlist: ShortlistText | null;
  /** Of a decoder; default: what suits its size. */
  readonly attention?: DecoderAttention;
}

/** A text of the target language. */
export interface ShortlistText {
  readonly lines: readonly string[];
  /** A token that occurs less often is not taken for its own sake. */
  readonly minCount: number;
  /** From 0 to 1. */
  readonly onProgress: (done: number) => void;
}

/** A folder that converts, as far as can be told without its tensors' values; its files are open until it is disposed of. */
export interface OpenedModel extends AsyncDisposable {
  readonly modelType: string;
  readonly weights: Weights;
  /** Every weight product, in the order in which an input meets them. */
  readonly products: readonly string[];
  /** The graphs, in the order in which they are written beside one file of weights. */
  readonly graphs: readonly GraphPart[];
  /** The file that `graphs` share. */
  readonly weightsName: string;
  /** Of one tensor, by the names that `graphs` use. */
  readonly read: ReadTensor;
  /** What lies in the folder beside graphs and weights, by name. */
  readonly copies: ReadonlyMap<string, CopiedFile>;
  readonly calibration: (lines: readonly string[]) => CalibrationRuns;
  readonly manifest: (common: CommonFields) => WrittenManifest;
  /** Of further models in the same folder, by the part of the name in `millrace.PART.json`. */
  readonly further: ReadonlyMap<string, (common: CommonFields) => WrittenManifest>;
}

export type WrittenManifest = Extract<ModelManifest, ConvertedManifest>;

export interface GraphPart {
  readonly fileName: string;
  readonly add: (writer: ProductWriter) => Promise<void>;
  /** It has no products of its own: its weights are those of the graphs before it, and it is not watched. */
  readonly borrows?: true;
}

export type CopiedFile = { readonly path: string } | { readonly text: string };

/** What convert knows of every manifest; `fileSha256` of all files that were written. */
export type CommonFields = Omit<ConvertedManifest, "task" | "engine" | "family">;

/** The lines that the model takes, as the inputs that it gets of them. */
export interface CalibrationRuns {
  readonly count: number;
  /**
   * Loads the graphs of the folder and runs every input. Null, or why the model failed on an input, the first that it
   * failed on. One by one: without padding, so that only real tokens are seen, on one thread and alone, so that the
   * same lines give the same scales every time.
   */
  readonly run: (watched: WatchedFolder) => Promise<string | null>;
}

/** What a run gave of the outputs that are watched, by name, and maybe of others. */
export type WatchedOutputs = Readonly<
  Record<string, { readonly data: unknown; readonly shape: readonly number[] }>
>;

export interface WatchedFolder {
  readonly dir: string;
  readonly onWatched: (watched: WatchedOutputs) => void;
  readonly onProgress: (done: number) => void;
}
