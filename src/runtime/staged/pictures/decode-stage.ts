/** What begins every program on pictures: the file becomes pixels, in sharp's threads, several ahead of the sessions. */

import type { Payload } from "../../../work/payload.js";
import {
  type EncodedPicture,
  pictureUnits,
  readPicture,
  unitPixels,
} from "../../../work/picture.js";
import type { PictureDecoder, Pixels } from "../../pictures.js";
import type { Stage, StageInput } from "../program.js";

export const decodeStage = 0;

/** All that are being decoded at once: as many as sharp has threads, and so many pixels. */
const limits = { rowsMax: 4, paddedUnitsMax: (64 * 1024 * 1024) / unitPixels };

/** The input of the stage, or why the payload is no picture. `bytesOf`: what it will hold when it is decoded. */
export function beginPicture(
  payload: Payload,
  bytesOf: (picture: EncodedPicture) => number,
): StageInput | string {
  const picture = readPicture(payload);
  if (picture === null) return "the item is no picture";
  const { bytes, width, height, pixelBytes } = picture;
  const units = pictureUnits(picture);
  return {
    stage: decodeStage,
    cost: { units, width: units, rows: 1, bytes: bytes.length, batchKey: "" },
    makesBytes: width * height * pixelBytes + bytesOf(picture),
    data: picture,
  };
}

/** `onPixels`: what the decoded picture becomes. */
export function makeDecodeStage(
  pictures: PictureDecoder,
  onPixels: (pixels: Pixels) => Promise<StageInput>,
): Stage {
  return {
    name: "decode",
    kind: "thread",
    limits,
    async run(inputs) {
      return await Promise.all(
        inputs.map(async ({ data }) => {
          const next = await onPixels(await pictures.decode(data as EncodedPicture));
          return { kind: "next", inputs: [next], gather: onlyResult } as const;
        }),
      );
    },
  };
}

/** For a `next` of one: its result, or its failure. */
export function onlyResult([only]: Parameters<
  Extract<Awaited<ReturnType<Stage["run"]>>[number], { kind: "next" }>["gather"]
>[0]): unknown {
  if (only === undefined) throw new Error("a stage's input had no result");
  if (!only.ok) throw only.error;
  return only.value;
}
