/**
 * The program `image-classifier`: pictures in, a graph of anybody's that gives a number for each label. A few lines make a folder with a
 * plain .onnx one; what is left out is what most training code does:
 *
 *   { "manifestVersion": 2, "task": "classify", "engine": "staged", "program": "image-classifier",
 *     "files": { "graph": "model.onnx" }, "labels": "index_to_name.json",
 *     "resize": { "to": "shorter-side", "size": 256 }, "crop": { "width": 224, "height": 224 } }
 *
 *   input     one float32 tensor: [N, 3, H, W], or [N, H, W, 3] where layout is "nhwc"
 *   output    one float32 tensor: [N, labels], further sizes of 1 allowed
 */
import { z } from "zod";
import type { EncoderScores } from "../../work/encoding.js";
import { toldLabels } from "../engine-definition.js";
import type { ManifestBase } from "../manifest-base.js";
import { baseFields, fileName, size, taskName, wrongManifest } from "../manifest-fields.js";
import type { ProgramDefinition } from "../manifest-staged.js";
import { type PixelInput, pixelFields, pixelText } from "./pixel-input.js";
import { pictureSampler } from "./sampled-picture.js";

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** `fit`: as large as fits, the rest black, in equal parts on both sides. */
export type ImageResize =
  | { readonly to: "shorter-side"; readonly size: number }
  | ({ readonly to: "exact" | "fit" } & ImageSize);

export interface ImageClassifierManifest extends ManifestBase, PixelInput {
  readonly engine: "staged";
  readonly program: "image-classifier";
  readonly files: {
    readonly graph: string;
    /** Weights of the graph that are not in it: it says which, whatever the manifest does. */
    readonly data: readonly string[];
  };
  readonly resize: ImageResize;
  /** From the centre; null: the resized picture is the input. */
  readonly crop: ImageSize | null;
  readonly layout: "nchw" | "nhwc";
  /** In the graph's order; or a file of the folder with a line for each, a JSON list, or index → name (or [id, name]). */
  readonly labels: readonly string[] | string;
  /** What makes scores of the graph's numbers; `identity`: they are scores already. */
  readonly scores: EncoderScores;
  /** Pictures in one run at most. */
  readonly rowsMax: number;
}

const side = size.max(4_096);
const sides = { width: side, height: side };

/** Strict: people write it, and a field with a slip in its name would be as if it were not there. */
const schema: z.ZodType<ImageClassifierManifest> = z.strictObject({
  ...baseFields,
  family: baseFields.family.default("onnx"),
  precision: baseFields.precision.default("graph"),
  quantization: baseFields.quantization.default(null),
  fileSha256: baseFields.fileSha256.default({}),
  engine: z.literal("staged"),
  program: z.literal("image-classifier"),
  task: taskName,
  files: z.strictObject({ graph: fileName, data: z.array(fileName).max(4_096).default([]) }),
  resize: z.discriminatedUnion("to", [
    z.strictObject({ to: z.literal("shorter-side"), size: side }),
    z.strictObject({ to: z.enum(["exact", "fit"]), ...sides }),
  ]),
  crop: z.strictObject(sides).nullable().default(null),
  layout: z.enum(["nchw", "nhwc"]).default("nchw"),
  // ImageNet's, as torchvision has them.
  ...pixelFields({
    channels: "rgb",
    scale: 1 / 255,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
  }),
  labels: z.union([fileName, z.array(z.string().max(256)).min(1).max(100_000)]),
  scores: z.enum(["softmax", "sigmoid", "identity"]).default("softmax"),
  rowsMax: size.max(1_024).default(16),
});

export const imageClassifier: ProgramDefinition<ImageClassifierManifest> = {
  sharesWeights: true,
  schema,
  check,
  // Some are decoded while others run.
  mode: "continuous",
  runRowsMax: ({ rowsMax }) => rowsMax,
  settings: () => ({}),
  sampler: pictureSampler,
  unit: () => null,
  info: ({ labels }) => ({
    limits: {},
    ...toldLabels(typeof labels === "string" ? null : labels),
  }),
  facts: (manifest) => {
    const { width, height } = inputSize(manifest);
    return [
      ["takes", `pictures, as ${width} × ${height}, ${pixelText(manifest)}`],
      ["gives", `labels, ${manifest.scores} scores`],
    ];
  },
};

/** What the graph sees. */
export function inputSize({
  resize,
  crop,
}: Pick<ImageClassifierManifest, "resize" | "crop">): ImageSize {
  if (crop !== null) return crop;
  return resize.to === "shorter-side" ? { width: resize.size, height: resize.size } : resize;
}

function check({ resize, crop, fileSha256, files }: ImageClassifierManifest): void {
  const hashed = Object.keys(fileSha256).length > 0;
  if (hashed && !Object.hasOwn(fileSha256, files.graph)) {
    throw wrongManifest(`fileSha256 lacks ${files.graph}`);
  }
  if (resize.to === "shorter-side" && crop === null) {
    throw wrongManifest("resize to a shorter side needs a crop: graphs take one size");
  }
  const { width, height } = inputSize({ resize, crop: null });
  if (crop !== null && (crop.width > width || crop.height > height)) {
    throw wrongManifest(`crop is larger than the resized picture, ${width} × ${height}`);
  }
}
