/**
 * The manifest of a model that the staged engine runs: a chain of stages, each with batches of its own. What the stages are
 * is its program: one file in programs/ and one line here for each.
 */
import { z } from "zod";
import type { EngineDefinition } from "./engine-definition.js";
import { type EncoderManifest, encoder } from "./programs/manifest-encoder.js";
import {
  type ImageClassifierManifest,
  imageClassifier,
} from "./programs/manifest-image-classifier.js";
import { type OcrManifest, ocrProgram } from "./programs/manifest-ocr.js";
import { type TensorsManifest, tensors } from "./programs/manifest-tensors.js";

/** Told apart by `program`. */
export type StagedManifest =
  | EncoderManifest
  | ImageClassifierManifest
  | OcrManifest
  | TensorsManifest;

export type ProgramName = StagedManifest["program"];

export type ProgramManifest<Program extends ProgramName> = Extract<
  StagedManifest,
  { readonly program: Program }
>;

/** What a program says of its models: as an engine does. */
export interface ProgramDefinition<Manifest>
  extends Omit<EngineDefinition<Manifest>, "mode" | "rowsMax" | "schemaFor" | "sharesWeights"> {
  readonly schema: z.ZodType<Manifest>;
  /**
   * `continuous` where what shares a run is known only inside, because items become others there. Default: `one-shot`, a
   * batch of neighbours in length among all that wait in the server.
   */
  readonly mode?: ReturnType<EngineDefinition<Manifest>["mode"]>;
  /** Default: false, each pipeline has a copy. */
  readonly sharesWeights?: boolean;
}

type Definitions = { readonly [Name in ProgramName]: ProgramDefinition<ProgramManifest<Name>> };

const programs: Definitions = {
  encoder,
  "image-classifier": imageClassifier,
  ocr: ocrProgram,
  tensors,
};

const named = z.looseObject({ program: z.enum(Object.keys(programs) as ProgramName[]) });

/** Of the program that the value names; it must name one. */
function schemaFor(value: unknown): z.ZodType<StagedManifest> {
  const found = named.safeParse(value);
  return found.success ? programs[found.data.program].schema : named.transform(() => z.NEVER);
}

/** Whoever has a manifest has its program; the table says that they belong together. */
function definitionOf({ program }: StagedManifest): ProgramDefinition<StagedManifest> {
  return programs[program] as ProgramDefinition<StagedManifest>;
}

export const staged: EngineDefinition<StagedManifest> = {
  schemaFor,
  check: (manifest) => definitionOf(manifest).check(manifest),
  mode: (manifest) => definitionOf(manifest).mode ?? "one-shot",
  runRowsMax: (manifest) => definitionOf(manifest).runRowsMax?.(manifest) ?? null,
  sharesWeights: (manifest) => definitionOf(manifest).sharesWeights ?? false,
  settings: (manifest) => definitionOf(manifest).settings(manifest),
  unit: (manifest) => definitionOf(manifest).unit(manifest),
  info: (manifest) => definitionOf(manifest).info(manifest),
  facts: (manifest) => definitionOf(manifest).facts(manifest),
  sampler: (manifest) => definitionOf(manifest).sampler?.(manifest) ?? null,
};
