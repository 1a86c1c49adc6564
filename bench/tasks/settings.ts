/** What the parts of the benchmark are given. */
import type { EncoderManifest } from "#src/models/programs/manifest-encoder.js";
import type { EncoderShape } from "./shapes.js";

export interface MadeModel {
  readonly shape: EncoderShape;
  readonly precision: "f32" | "int8";
  readonly dir: string;
  readonly manifest: EncoderManifest;
}

export interface PagesSettings {
  /** A folder with the published graphs of PP-OCR's kind. */
  readonly graphs: string;
  readonly pictures: string;
  /** Where to write. */
  readonly parent: string;
  readonly rounds: number;
  readonly threads: number;
}

export interface TasksSettings {
  readonly texts: readonly string[];
  /** Requests of one short text, one after the other. */
  readonly singles: number;
  readonly rounds: number;
  readonly threads: number;
}
