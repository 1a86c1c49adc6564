/** What every `millrace.json` says, whatever runs the model. */
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
  /** The architecture that it came from; `onnx` where that is not known. */
  readonly family: string;
  /** `graph`: of several kinds, or of one that only the graph knows. */
  readonly precision: Precision | "graph";
  /** Null where no weights are int8, or where that is not known. */
  readonly quantization: Quantization | null;
  /** SHA-256 of each file of this folder, by name: the server refuses a folder that was damaged. */
  readonly fileSha256: Readonly<Record<string, string>>;
}

/** What `millrace convert` says of the models whose graphs it wrote itself. */
export interface ConvertedManifest extends ManifestBase {
  readonly precision: Precision;
  /** One entry for each weight product, e.g. `encoder.0.fc1: "int8"`. */
  readonly layerPrecision: Readonly<Record<string, Precision>>;
  readonly source: {
    readonly modelType: string;
    /** SHA-256 of the weights as they were published, in hexadecimal. */
    readonly weightsSha256: string;
    readonly weightsBytes: number;
  };
  readonly madeWith: {
    readonly millrace: string;
    readonly onnxOpset: number;
    readonly calibration?: string;
  };
}
