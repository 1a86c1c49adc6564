/**
 * The program `ocr`. Whatever waits for a stage shares its runs, whichever picture it is of.
 *
 *   file ── decode ──► pixels ── detect ──► map ── box ──► quadrilaterals ── crop ──► lines ── turn ──► lines ── recognise ──► texts
 *          sharp's threads        1 : 1            1 : 1                     1 : n    where there is a graph         └─ gathered by picture
 */
import { join } from "node:path";
import type { OcrManifest } from "../../../models/programs/manifest-ocr.js";
import { readTextFile } from "../../../models/read-json.js";
import type { Payload } from "../../../work/payload.js";
import { readTextLines, type TextLines, textLinesPayload } from "../../../work/text-lines.js";
import type { EngineRequest } from "../../engine.js";
import { PictureDecoder, type Pixels, type Size } from "../../pictures.js";
import type { Session } from "../../session.js";
import { sharedFiles } from "../../shared-weights.js";
import {
  type CropOptions,
  type CroppedLine,
  cropInput,
  cropLimits,
  cropLines,
} from "../ocr/crop-stage.js";
import {
  boxInput,
  boxLimits,
  type Detected,
  detect,
  detectInput,
  detectLimits,
  detectSize,
  locate,
} from "../ocr/detect-stage.js";
import { pictureLines } from "../ocr/picture-lines.js";
import { charactersOf, keysBytesMax, probeOcr, probeSizes } from "../ocr/probe.js";
import {
  type RecogniseOptions,
  recognise,
  recogniseInput,
  recogniseLimits,
  turn,
  turnInput,
  turnLimits,
} from "../ocr/read-stages.js";
import { openShared } from "../open-shared.js";
import {
  beginPicture,
  decodeStage,
  makeDecodeStage,
  onlyResult,
} from "../pictures/decode-stage.js";
import { type SamplePicture, samplePicture } from "../pictures/sample-picture.js";
import type { Program, Stage, StageInput, StageResult } from "../program.js";

const detectAt = decodeStage + 1;
const boxAt = detectAt + 1;
const cropAt = boxAt + 1;
/** Turning comes between, where there is a graph for it. */
const turnAt = cropAt + 1;

interface OcrSessions {
  readonly detector: Session;
  readonly recogniser: Session;
  readonly direction: Session | null;
}

export async function openOcr(request: EngineRequest<OcrManifest>): Promise<Program> {
  const { modelDir, manifest, threads, weightsCache } = request;
  const { detector, recogniser, direction, data = [] } = manifest.files;
  const keys = await readTextFile(join(modelDir, manifest.files.keys), keysBytesMax);
  const open = async (stage: string, file: string, { width, height }: Size): Promise<Session> => {
    const probes = [[[1, 3, height, width]]];
    const files = [file, ...data];
    const shared = await sharedFiles(weightsCache, { dir: modelDir, files, probes });
    const options = { threads, spin: false, data };
    return await openShared(request, stage, { graph: join(modelDir, file), options, shared });
  };
  const sizes = probeSizes(manifest);
  const sessions: OcrSessions = {
    detector: await open("detect", detector, sizes.detector),
    recogniser: await open("recognise", recogniser, sizes.recogniser),
    direction: direction === undefined ? null : await open("turn", direction, manifest.direction),
  };
  const characters = charactersOf(keys, manifest.recogniser);
  await probeOcr(sessions, manifest, characters);
  const pictures = await PictureDecoder.open();
  const sample = await samplePicture(pictures);
  return new OcrProgram({ manifest, sessions, pictures, characters, sample });
}

interface OcrParts {
  readonly manifest: OcrManifest;
  readonly sessions: OcrSessions;
  readonly pictures: PictureDecoder;
  readonly characters: readonly string[];
  readonly sample: SamplePicture;
}

class OcrProgram implements Program {
  readonly stages: readonly Stage[];
  readonly #parts: OcrParts;
  readonly #recogniseAt: number;
  readonly #cropping: CropOptions;

  constructor(parts: OcrParts) {
    this.#parts = parts;
    const { sessions, manifest, pictures, characters } = parts;
    const { recogniser, direction } = manifest;
    this.#cropping = { recogniser, direction: sessions.direction === null ? null : direction };
    this.#recogniseAt = sessions.direction === null ? turnAt : turnAt + 1;
    const reading: RecogniseOptions = { ...manifest.recogniser, characters };
    this.stages = [
      makeDecodeStage(pictures, (picture) => this.#toDetect(picture)),
      makeStage("detect", detectLimits, async (inputs) => {
        const found = await detect(sessions.detector, inputs, manifest.detector);
        return found.map((seen) => nextOf(boxInput(boxAt, seen)));
      }),
      {
        name: "box",
        kind: "thread",
        limits: boxLimits,
        run: (inputs) =>
          Promise.all(
            inputs.map(async (input) => {
              const detected = await locate(input, manifest.detector);
              return nextOf(cropInput(cropAt, detected, this.#cropping));
            }),
          ),
      },
      {
        name: "crop",
        kind: "thread",
        limits: cropLimits,
        run: (inputs) => Promise.all(inputs.map((input) => this.#crop(input))),
      },
      ...this.#turnStages(),
      makeStage("recognise", recogniseLimits, async (inputs) => {
        const texts = await recognise(sessions.recogniser, inputs, reading);
        return texts.map((value) => ({ kind: "done", value }));
      }),
    ];
  }

  begin(payload: Payload): StageInput | string {
    return beginPicture(payload, ({ width, height }) => {
      const view = detectSize({ width, height }, this.#parts.manifest.detector);
      return 3 * (width * height + view.width * view.height);
    });
  }

  finish(value: unknown): Payload {
    return textLinesPayload(value as TextLines);
  }

  warmUp(): readonly Payload[] {
    return [this.#parts.sample.payload];
  }

  judgeWarmUp(answer: Payload): string | null {
    const { width, height } = this.#parts.sample;
    const lines = readTextLines(answer);
    if (lines === null) return "the result is not one of a picture with text";
    const [failure] = lines.failures;
    if (failure !== undefined) return failure.error.message;
    return lines.width === width && lines.height === height ? null : "the picture changed its size";
  }

  async release(): Promise<void> {
    const { detector, recogniser, direction } = this.#parts.sessions;
    for (const session of [detector, recogniser, direction]) session?.release();
  }

  async #toDetect(picture: Pixels): Promise<StageInput> {
    const { pictures, manifest } = this.#parts;
    const view = await pictures.resize(picture, detectSize(picture, manifest.detector));
    return detectInput(detectAt, { picture, view });
  }

  /** A line that cannot be cut out or read is told beside those that can: a page is not lost for a word. */
  async #crop({ data }: StageInput): Promise<StageResult> {
    const detected = data as Detected;
    const crops = await cropLines(detected, this.#cropping);
    const { width, height } = detected.picture;
    const { quads } = detected;
    return {
      kind: "next",
      inputs: crops.flatMap((crop) => ("error" in crop ? [] : [this.#toRead(crop)])),
      gather: (results) => {
        const { scoreMin } = this.#parts.manifest.recogniser;
        return pictureLines({ width, height, quads, crops, results, scoreMin });
      },
    };
  }

  #toRead(line: CroppedLine): StageInput {
    const { direction, recogniser } = this.#parts.manifest;
    if (line.view === null) return recogniseInput(this.#recogniseAt, line.strip, recogniser);
    return turnInput(turnAt, line, direction);
  }

  #turnStages(): Stage[] {
    const { sessions, manifest } = this.#parts;
    const session = sessions.direction;
    if (session === null) return [];
    const run = async (inputs: readonly StageInput[]): Promise<readonly StageResult[]> => {
      const strips = await turn(session, inputs, manifest.direction);
      return strips.map((strip) => {
        const next = recogniseInput(this.#recogniseAt, strip, manifest.recogniser);
        return nextOf(next);
      });
    };
    return [makeStage("turn", turnLimits, run)];
  }
}

function nextOf(input: StageInput): StageResult {
  return { kind: "next", inputs: [input], gather: onlyResult };
}

function makeStage(name: string, limits: Stage["limits"], run: Stage["run"]): Stage {
  return { name, kind: "session", limits, run };
}
