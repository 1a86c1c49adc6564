/** What transformers gives for 1,000 English sentences, and the human Chinese. */
import { readFileSync } from "node:fs";
import { sharedPath } from "./shared-data.js";

export interface ReferenceResult {
  readonly ids: readonly number[];
  readonly text: string;
  readonly score: number;
}

export interface ReferenceRow {
  readonly source: string;
  readonly human: string;
  readonly input_ids: readonly number[];
  readonly greedy: ReferenceResult;
  readonly beam4: ReferenceResult;
}

export function readReference(): readonly ReferenceRow[] {
  const path = sharedPath("models", "en-zh", "reference.json");
  const { rows } = JSON.parse(readFileSync(path, "utf8")) as { rows: ReferenceRow[] };
  return rows;
}
