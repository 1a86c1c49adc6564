/** Which model was measured, in a line. */
import type { GenerationManifest } from "#src/models/manifest-generation.js";

export function describeModel({ name, precision, shape }: GenerationManifest): string {
  return `${name} ${precision}, ${shape.encoderLayers}+${shape.decoderLayers} layers, d ${shape.width}, vocabulary ${shape.targetVocabulary}`;
}
