/** Picture files as inputs: they travel as they are, as the files of a form. */
import type { Gathering, Inputs } from "./task.js";
import { copyOfList } from "./texts.js";
import { MillraceError } from "./wire/index.js";

/** The bytes of a picture file. */
export type Picture = Uint8Array | ArrayBuffer | Blob;

/** One picture, or many. */
export type Pictures = Picture | readonly Picture[];

export function isPicture(value: unknown): value is Picture {
  return value instanceof Uint8Array || value instanceof ArrayBuffer || value instanceof Blob;
}

/** Throws `bad_request` or `input_empty`. Copies, but for blobs, which nobody can change. */
export function pictureInputs(pictures: Pictures): Inputs {
  const list = isPicture(pictures) ? [pictures] : copyOfList<Picture>(pictures, "images");
  const values = list.map(blobOf);
  const characters = values.reduce((sum, { size }) => sum + size, 0);
  // How many lines or labels a picture makes is the server's knowledge.
  const itemsMax = Number.POSITIVE_INFINITY;
  return { field: "images", values, areFiles: true, characters, itemsMax };
}

/**
 * Some scans, or a photo or two: a quarter of what a server takes by default as one body of pictures. Four such requests, which are
 * under way at once, are half of what it holds of all bodies. A larger picture goes alone.
 */
export const gatherPictures: Gathering<Picture> = {
  sizeOf: (picture) => (picture instanceof Blob ? picture.size : picture.byteLength),
  inputsOf: pictureInputs,
  requestInputsMax: 16,
  requestSizeMax: 8 * 1024 * 1024,
};

function blobOf(picture: Picture): Blob {
  if (picture instanceof Blob) return picture;
  if (isPicture(picture)) return new Blob([picture as BlobPart]);
  const message = "A picture must be a Uint8Array, an ArrayBuffer or a Blob.";
  throw new MillraceError("bad_request", message, { param: "images" });
}
