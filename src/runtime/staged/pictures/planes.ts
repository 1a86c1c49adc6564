/** Pixels → the numbers of a graph's input. */
import type { PixelInput } from "../../../models/programs/pixel-input.js";
import type { Pixels } from "../../pictures.js";

export interface PixelPlace {
  /** Where the picture's numbers begin; those around it stay as they are. */
  readonly offset: number;
  /** Of the input, which may be larger than the picture: what is to the right and below stays 0. */
  readonly width: number;
  readonly height: number;
  readonly layout?: "nchw" | "nhwc";
}

/** Writes (pixel · scale − mean) / std, in the graph's order of colours. */
export function writePlanes(
  target: Float32Array,
  { data, width, height }: Pixels,
  { place, input }: { readonly place: PixelPlace; readonly input: PixelInput },
): void {
  const rowStep = place.layout === "nhwc" ? place.width * 3 : place.width;
  const columnStep = place.layout === "nhwc" ? 3 : 1;
  const planeStep = place.layout === "nhwc" ? 1 : place.width * place.height;
  for (let plane = 0; plane < 3; plane += 1) {
    const colour = input.channels === "rgb" ? plane : 2 - plane;
    const values = valuesOf(input, plane);
    for (let y = 0; y < height; y += 1) {
      let to = place.offset + plane * planeStep + y * rowStep;
      let from = y * width * 3 + colour;
      for (let x = 0; x < width; x += 1) {
        target[to] = values[data[from] ?? 0] ?? 0;
        from += 3;
        to += columnStep;
      }
    }
  }
}

/** Of each of the 256 pixels. */
function valuesOf({ scale, mean, std }: PixelInput, plane: number): Float32Array {
  return Float32Array.from(
    { length: 256 },
    (_, pixel) => (pixel * scale - (mean[plane] ?? 0)) / (std[plane] ?? 1),
  );
}
