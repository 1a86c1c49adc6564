/** What is translated, and how: one text, or its ids from the model's own tokenizer, end token included. */
import assert from "node:assert/strict";
import type { GenerationSettings } from "../../work/generation.js";
import type { JsonObject } from "../../work/payload.js";

export type TranslationInput = string | readonly number[];

/** With nothing left out. */
export interface TranslateSettings extends GenerationSettings {
  /** Cut what is too long instead of refusing it. */
  readonly truncate: boolean;
  /** Split texts into sentences and join the translations again. */
  readonly split: boolean;
  /** Ids end with pad tokens that are not theirs. */
  readonly padded?: true;
}

/** The settings that `complete` gave, as they are needed again. */
export function completedSettings(settings: JsonObject): TranslateSettings {
  const { beams, nBest, lengthPenalty, maxLength, truncate, split, padded } = settings;
  assert(
    typeof beams === "number" &&
      typeof nBest === "number" &&
      typeof lengthPenalty === "number" &&
      typeof maxLength === "number" &&
      typeof truncate === "boolean" &&
      typeof split === "boolean",
    "translation: its settings were not completed",
  );
  const ids = padded === true ? { padded } : {};
  return { beams, nBest, lengthPenalty, maxLength, truncate, split, ...ids };
}
