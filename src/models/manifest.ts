/**
 * `millrace.json`: what a Millrace model folder is. Written by `millrace convert`, read by the server.
 *
 *   manifest.ts              what every folder says, whatever runs it, and the union of all
 *   manifest-ENGINE.ts       what one engine needs beside that: one file an engine
 *   engines.ts               the table of engines: who checks what
 *   version-1.ts             an older folder, told in today's words
 *   read-manifest.ts         READ FIRST: from a folder to a manifest
 */
import type { GenerationManifest } from "./manifest-generation.js";
import type { Quantization } from "./quantization.js";

export const manifestVersion = 2;
export const manifestFileName = "millrace.json";

export type Precision = "f32" | "int8";

/** What is said of every model. */
export interface ManifestBase {
  readonly manifestVersion: typeof manifestVersion;
  /** The folder's name unless said otherwise; callers use it as `model`. */
  readonly name: string;
  /** What it is for, as the API's route has it: `translate`. */
  readonly task: string;
  /** What runs it. */
  readonly engine: string;
  /** The architecture that it came from. */
  readonly family: string;
  readonly sourceLanguage?: string;
  readonly targetLanguage?: string;
  readonly precision: Precision;
  /** One entry for each weight product, e.g. `encoder.0.fc1: "int8"`. */
  readonly layerPrecision: Readonly<Record<string, Precision>>;
  /** Null where no weights are int8. */
  readonly quantization: Quantization | null;
  readonly source: {
    readonly modelType: string;
    /** SHA-256 of model.safetensors, in hexadecimal. */
    readonly weightsSha256: string;
    readonly weightsBytes: number;
  };
  /** SHA-256 of each file of this folder, by name: the server refuses a folder that was damaged. */
  readonly fileSha256: Readonly<Record<string, string>>;
  readonly madeWith: {
    readonly millrace: string;
    readonly onnxOpset: number;
    readonly calibration?: string;
  };
}

/** Told apart by `engine`. */
export type ModelManifest = GenerationManifest;
