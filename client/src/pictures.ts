/** Picture files as inputs: they are sent as they are, in base64. */
import { toBase64 } from "./base64.js";
import type { Source } from "./each.js";
import type { Gathering, Inputs } from "./task.js";
import { copyOfList } from "./texts.js";
import { MillraceError } from "./wire/index.js";

/** The bytes of a picture file. They are not copied: they must stay what they are until the call has ended. */
export type Picture = Uint8Array | ArrayBuffer | Blob;

/** One picture, or many. */
export type Pictures = Picture | readonly Picture[];

export function isPicture(value: unknown): value is Picture {
  return value instanceof Uint8Array || value instanceof ArrayBuffer || value instanceof Blob;
}

/** Throws `bad_request` or `input_empty`. */
export async function pictureInputs(pictures: Pictures): Promise<Inputs> {
  const list = copyOfList<Picture>(isPicture(pictures) ? [pictures] : pictures, "images");
  return inputsOfBytes(await Promise.all(list.map(bytesOf)));
}

/** The default is a server's default for one body, less what base64 adds; a larger picture goes alone. */
export const gatherPictures: Gathering<Uint8Array> = {
  sizeOf: (bytes) => bytes.length,
  inputsOf: inputsOfBytes,
  requestInputsMax: 32,
  requestSizeMax: 2_621_440,
};

/** A blob is read when its turn comes. What is no picture is an error in its place. */
export async function* bytesOfEach(
  source: Source<Picture>,
): AsyncGenerator<Uint8Array | MillraceError> {
  for await (const picture of source) {
    yield picture instanceof MillraceError ? picture : await bytesOf(picture);
  }
}

function inputsOfBytes(values: readonly Uint8Array[]): Inputs {
  const characters = values.reduce((sum, bytes) => sum + bytes.length, 0);
  // How many lines or labels a picture makes is the server's knowledge.
  const itemsMax = Number.POSITIVE_INFINITY;
  return { field: "images", values, encode, characters, itemsMax };
}

function encode(value: unknown): unknown {
  return value instanceof Uint8Array ? toBase64(value) : value;
}

async function bytesOf(picture: Picture): Promise<Uint8Array> {
  if (picture instanceof Uint8Array) return picture;
  if (picture instanceof ArrayBuffer) return new Uint8Array(picture);
  if (picture instanceof Blob) return new Uint8Array(await picture.arrayBuffer());
  const message = "A picture must be a Uint8Array, an ArrayBuffer or a Blob.";
  throw new MillraceError("bad_request", message, { param: "images" });
}
