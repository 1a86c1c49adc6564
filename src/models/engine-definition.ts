/** What an engine says of itself on the server's side: the file manifest-ENGINE.ts exports one, engine-table.ts has all. */
import type { ModelInfo, WorkUnit } from "millrace-client/wire";
import type { z } from "zod";
import type { Payload } from "../work/payload.js";

export type EngineInfo = Pick<
  ModelInfo,
  "limits" | "sourceLanguage" | "targetLanguage" | "inputs" | "outputs" | "embedding" | "labels"
>;

/** They stand in the list of models: a model that has more keeps them to itself. */
const toldLabelsMax = 1_000;

export function toldLabels(labels: readonly string[] | null): Pick<EngineInfo, "labels"> {
  return labels === null || labels.length > toldLabelsMax ? {} : { labels };
}

/** Rows that run at once of a model that runs no faster with more. */
export const usualRowsMax = 64;

export type Sampler = (index: number) => Payload;

export interface EngineDefinition<Manifest> {
  /** For what was read; where it depends on that, a wrong value gets a schema that says what is wrong. */
  readonly schemaFor: (value: unknown) => z.ZodType<Manifest>;
  /** Throws `model_folder_invalid` where fields contradict each other. */
  readonly check: (manifest: Manifest) => void;
  /** Its weights are in memory once, however many pipelines have it (runtime/shared-weights.ts). */
  readonly sharesWeights: (manifest: Manifest) => boolean;
  /** As the scheduler has it: fed whenever rows are free, or a batch at a time. */
  readonly mode: (manifest: Manifest) => "continuous" | "one-shot";
  /**
   * Rows of it that run at once in a pipeline, in each class, where the options name no number: as many as it runs best. Left out:
   * `usualRowsMax`.
   */
  readonly rowsMax?: (manifest: Manifest) => number;
  /**
   * Of a continuous model, rows of its largest run: a pipeline is given no more than keeps it busy, so that what came first of one
   * caller is not before all that another sends. Null, or left out: as many as the options allow.
   */
  readonly runRowsMax?: (manifest: Manifest) => number | null;
  /** What a request gets that sets nothing by itself, by the names of the request's fields. */
  readonly settings: (manifest: Manifest) => Readonly<Record<string, number | string | boolean>>;
  /** See `ModelStatus`. */
  readonly unit: (manifest: Manifest) => WorkUnit | null;
  /** What callers are told of the model beside what they are told of every one. */
  readonly info: (manifest: Manifest) => EngineInfo;
  /**
   * Makes items of usual size, each index a little different, for trials of speed; what they say means nothing. Null, or left
   * out: the model is not tried.
   */
  readonly sampler?: (manifest: Manifest) => Sampler | null;
  /** What `millrace inspect` says beside what it says of every model. */
  readonly facts: (manifest: Manifest) => readonly (readonly [label: string, value: string])[];
}
