/** What the parts of the benchmark are given. */
import type { EncoderManifest } from "#src/models/programs/manifest-encoder.js";
import type { EncoderShape } from "./made-encoder.js";

export interface MadeModel {
  readonly shape: EncoderShape;
  readonly precision: "f32" | "int8";
  readonly dir: string;
  readonly manifest: EncoderManifest;
}

export interface TasksSettings {
  readonly texts: readonly string[];
  readonly rounds: number;
  readonly threads: number;
}
