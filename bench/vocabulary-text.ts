/** What a report says of the tokens that a model scores in each step: with a shortlist it does less work, and gives other texts. */
import type { GenerationManifest } from "#src/models/manifest-generation.js";

export function vocabularyText({
  shape: { targetVocabulary },
  shortlist,
}: Pick<GenerationManifest, "shape" | "shortlist">): string {
  const whole = `vocabulary ${targetVocabulary}`;
  return shortlist === undefined ? whole : `${whole}, ${shortlist.tokens} of it on the shortlist`;
}
