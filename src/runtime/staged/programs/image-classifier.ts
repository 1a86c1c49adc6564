/** The program `image-classifier`: the file becomes pixels of the graph's size in sharp's threads, and those run together. */
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import {
  type ImageClassifierManifest,
  type ImageResize,
  inputSize,
} from "../../../models/programs/manifest-image-classifier.js";
import { readLabels } from "../../../models/programs/read-labels.js";
import type { Payload } from "../../../work/payload.js";
import { pictureUnits, unitPixels } from "../../../work/picture.js";
import type { EngineRequest } from "../../engine.js";
import { PictureDecoder, type Pixels, type Size } from "../../pictures.js";
import { f32, floatsOf, type Session } from "../../session.js";
import { sharedFiles } from "../../shared-weights.js";
import { openShared } from "../open-shared.js";
import { beginPicture, decodeStage, makeDecodeStage } from "../pictures/decode-stage.js";
import { writePlanes } from "../pictures/planes.js";
import { type SamplePicture, samplePicture } from "../pictures/sample-picture.js";
import type { Program, Stage, StageInput } from "../program.js";

const classifyAt = decodeStage + 1;
/** A run of sixteen as ImageNet's models take them. */
const paddedUnitsMax = (16 * 256 * 256) / unitPixels;

export async function openImageClassifier(
  request: EngineRequest<ImageClassifierManifest>,
): Promise<Program> {
  const { modelDir, manifest, threads, weightsCache } = request;
  const { graph, data } = manifest.files;
  const probes = [[inputShape(manifest, 1)]];
  const shared = await sharedFiles(weightsCache, {
    dir: modelDir,
    files: [graph, ...data],
    probes,
  });
  const session = await openShared(request, "classify", {
    graph: join(modelDir, graph),
    options: { threads, spin: false, data },
    shared,
  });
  const [input, ...others] = session.inputs;
  if (input?.datatype !== "FP32" || others.length > 0) {
    throw new Error(`${manifest.files.graph} does not take one float32 tensor`);
  }
  const wanted = inputShape(manifest, "N");
  const fits = input.shape.every((size, at) => typeof size === "string" || size === wanted[at]);
  if (input.shape.length !== wanted.length || !(fits || input.shape[0] === 1)) {
    const shapes = `[${input.shape.join(", ")}], and the manifest makes [${wanted.join(", ")}]`;
    throw new Error(`${manifest.files.graph} takes ${shapes}`);
  }
  const { length: labels } = await readLabels(modelDir, manifest.labels);
  const pictures = await PictureDecoder.open();
  const sample = await samplePicture(pictures);
  // A graph with a fixed batch of one is run so, one picture after the other.
  const rowsMax = input.shape[0] === 1 ? 1 : manifest.rowsMax;
  return new ImageClassifierProgram({ manifest, session, pictures, sample, rowsMax, labels });
}

interface ClassifierParts {
  readonly manifest: ImageClassifierManifest;
  readonly session: Session;
  readonly pictures: PictureDecoder;
  readonly sample: SamplePicture;
  readonly labels: number;
  readonly rowsMax: number;
}

class ImageClassifierProgram implements Program {
  readonly stages: readonly Stage[];
  readonly #parts: ClassifierParts;

  constructor(parts: ClassifierParts) {
    this.#parts = parts;
    this.stages = [
      makeDecodeStage(parts.pictures, (pixels) => this.#toClassify(pixels)),
      {
        name: "classify",
        kind: "session",
        limits: { rowsMax: parts.rowsMax, paddedUnitsMax },
        run: async (inputs) => {
          const rows = await this.#classify(inputs.map(({ data }) => data as Pixels));
          return rows.map((value) => ({ kind: "done", value }));
        },
      },
    ];
  }

  begin(payload: Payload): StageInput | string {
    const { resize } = this.#parts.manifest;
    return beginPicture(payload, (picture) => {
      const { width, height } = resizedSize(picture, resize);
      return 3 * (picture.width * picture.height + width * height);
    });
  }

  finish(value: unknown): Payload {
    const data = value as Float32Array;
    return { values: {}, tensors: { logits: { type: "float32", shape: [data.length], data } } };
  }

  warmUp(): readonly Payload[] {
    return [this.#parts.sample.payload];
  }

  judgeWarmUp({ tensors }: Payload): string | null {
    const data = tensors["logits"]?.data;
    if (!(data instanceof Float32Array)) return "there are no numbers";
    const { labels } = this.#parts;
    if (data.length !== labels)
      return `the graph gives ${data.length} numbers for ${labels} labels`;
    return data.every((value) => Number.isFinite(value)) ? null : "a number is not finite";
  }

  async release(): Promise<void> {
    this.#parts.session.release();
  }

  async #toClassify(picture: Pixels): Promise<StageInput> {
    const { pictures, manifest } = this.#parts;
    const resized = await pictures.resize(picture, resizedSize(picture, manifest.resize));
    const data = await pictures.centre(resized, inputSize(manifest));
    const units = pictureUnits(data);
    const cost = { units, width: units, rows: 1, bytes: data.data.length, batchKey: "" };
    return { stage: classifyAt, cost, data };
  }

  async #classify(pictures: readonly Pixels[]): Promise<Float32Array[]> {
    const { session, manifest } = this.#parts;
    const { width, height } = inputSize(manifest);
    const size = 3 * width * height;
    const values = new Float32Array(pictures.length * size);
    for (const [row, picture] of pictures.entries()) {
      const place = { offset: row * size, width, height, layout: manifest.layout };
      writePlanes(values, picture, { place, input: manifest });
    }
    const [inputName = "", outputName = ""] = [session.inputs[0]?.name, session.outputs[0]?.name];
    const fetches = await session.run({
      [inputName]: f32(values, inputShape(manifest, pictures.length)),
    });
    const [rows = 0, ...sizes] = fetches[outputName]?.shape ?? [];
    const labels = sizes.reduce((product, each) => product * each, 1);
    if (rows !== pictures.length || Math.max(1, ...sizes) !== labels) {
      throw new Error(
        `the graph gives [${[rows, ...sizes].join(", ")}], not a number for each label`,
      );
    }
    const numbers = floatsOf(fetches, outputName, rows * labels);
    return pictures.map((_, row) => numbers.slice(row * labels, (row + 1) * labels));
  }
}

function inputShape<Rows>(
  manifest: ImageClassifierManifest,
  rows: Rows,
): readonly [Rows, number, number, number] {
  const { width, height } = inputSize(manifest);
  return manifest.layout === "nchw" ? [rows, 3, height, width] : [rows, height, width, 3];
}

/** Beyond it a side that follows the other would be as long as a caller likes. */
const aspectMax = 16;

/** As torchvision does it: the longer side is cut to whole pixels. @throws MillraceError `image_invalid` */
function resizedSize({ width, height }: Size, resize: ImageResize): Size {
  if (resize.to === "shorter-side") {
    const [shorter, longer] = [Math.min(width, height), Math.max(width, height)];
    if (longer > aspectMax * shorter) {
      const size = `${width} × ${height} pixels; one side is at most ${aspectMax} times the other`;
      throw new MillraceError("image_invalid", `The picture has ${size}.`);
    }
    const followed = Math.trunc((resize.size * longer) / shorter);
    return width < height
      ? { width: resize.size, height: followed }
      : { width: followed, height: resize.size };
  }
  if (resize.to === "exact") return resize;
  const ratio = Math.min(resize.width / width, resize.height / height);
  const side = (length: number, most: number): number =>
    Math.min(most, Math.max(1, Math.round(length * ratio)));
  return { width: side(width, resize.width), height: side(height, resize.height) };
}
