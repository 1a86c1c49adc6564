import type { Sharp } from "sharp";

/** Of an upright picture, what a file holds with the orientations 1 to 8 of EXIF; sharp mirrors before it turns. */
export const exifTurns: readonly ((upright: Sharp) => Sharp)[] = [
  (upright) => upright,
  (upright) => upright.flop(),
  (upright) => upright.rotate(180),
  (upright) => upright.flip(),
  (upright) => upright.rotate(90).flip(),
  (upright) => upright.rotate(270),
  (upright) => upright.rotate(90).flop(),
  (upright) => upright.rotate(90),
];
