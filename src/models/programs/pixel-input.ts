/** How pixels become the numbers that a graph takes; the same words for every program on pictures. */
import { z } from "zod";

/** Each value is (pixel · scale − mean) / std, with pixels from 0 to 255. */
export interface PixelInput {
  /** In which order the graph has them; `mean` and `std` are in the same one. */
  readonly channels: "rgb" | "bgr";
  readonly scale: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

type PixelSchemas = { readonly [Field in keyof PixelInput]: z.ZodType<PixelInput[Field]> };

const triple = z.tuple([z.number(), z.number(), z.number()]);
const divisors = triple.refine((values) => values.every((value) => value !== 0), "expected no 0");

/** What a manifest need not say is `usual`. */
export function pixelFields(usual: PixelInput): PixelSchemas {
  const { channels, scale, mean, std } = usual;
  return {
    channels: z.enum(["rgb", "bgr"]).default(channels),
    scale: z.number().positive().default(scale),
    mean: triple.default([...mean]),
    std: divisors.default([...std]),
  };
}

export function pixelText({ channels, scale, mean, std }: PixelInput): string {
  return `${channels}, (pixel · ${Number(scale.toPrecision(4))} − ${mean.join(" ")}) / ${std.join(" ")}`;
}
