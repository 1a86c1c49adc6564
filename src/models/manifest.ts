/** `millrace.json`: what a Millrace model folder is. Written by `millrace convert`, read by the server. */

export const manifestVersion = 1;
export const manifestFileName = "millrace.json";

export type Precision = "f32" | "int8";

/** How the model generates unless a request says otherwise, with Hugging Face's meaning of each. */
export interface GenerationRules {
  readonly startTokenId: number;
  readonly endTokenId: number;
  readonly padTokenId: number;
  readonly unknownTokenId: number | null;
  /** Forced at the last position that `maxLength` allows. */
  readonly forcedEndTokenId: number | null;
  readonly badWords: readonly (readonly number[])[];
  readonly beams: number;
  /** In tokens, the start token counted. */
  readonly maxLength: number;
  readonly lengthPenalty: number;
  /** Hugging Face's meaning: true, false or "never". */
  readonly earlyStopping: boolean | "never";
  /** Beams: log-softmax once more after bad words were refused. */
  readonly renormalizeLogits: boolean;
}

export interface TranslationManifest {
  readonly manifestVersion: typeof manifestVersion;
  /** The folder's name unless said otherwise; callers use it as `model`. */
  readonly name: string;
  readonly task: "translation";
  readonly family: "marian";
  readonly sourceLanguage?: string;
  readonly targetLanguage?: string;
  readonly precision: Precision;
  /** One entry for each weight product, e.g. `encoder.0.fc1: "int8"`. */
  readonly layerPrecision: Readonly<Record<string, Precision>>;
  readonly files: {
    readonly encoder: string;
    readonly decoder: string;
    readonly weights: string;
    readonly tokenizer: string;
  };
  readonly shape: {
    readonly vocabulary: number;
    /** Width of the hidden state. */
    readonly width: number;
    readonly encoderLayers: number;
    readonly decoderLayers: number;
    readonly decoderHeads: number;
    /** Positions that the model has, hence the most tokens of an input or an output. */
    readonly positions: number;
  };
  readonly generation: GenerationRules;
  readonly limits: { readonly inputTokensMax: number; readonly outputTokensMax: number };
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

export type ModelManifest = TranslationManifest;
