/** Which model was measured, in a line. */
import type { GenerationManifest } from "#src/models/manifest-generation.js";

/** With a shortlist it scores fewer tokens in each step, and gives other texts: that is said as well. */
export function describeModel({
  name,
  precision,
  shape,
  shortlist,
}: Pick<GenerationManifest, "name" | "precision" | "shape" | "shortlist">): string {
  const whole = `${name} ${precision}, ${shape.encoderLayers}+${shape.decoderLayers} layers, d ${shape.width}, vocabulary ${shape.targetVocabulary}`;
  return shortlist === undefined ? whole : `${whole}, ${shortlist.tokens} of it on the shortlist`;
}
