/** Lists of pictures in a caller's fields, for every task that takes pictures. */
import { MillraceError } from "millrace-client/wire";
import { badField, kindOf } from "../../work/fields.js";
import { readList } from "../text/read-texts.js";

/** A picture's file; or, in its place, why what was sent is none: it fails alone, when it is its turn. */
export type ImageInput = Uint8Array | { readonly problem: string };

/**
 * A list of picture files, or one: bytes where the front had them, else base64. Whether they are pictures is seen later, for each by
 * itself. Throws as `readList`.
 */
export function readImages(
  value: unknown,
  field: string,
  inputsMax: number,
): readonly ImageInput[] {
  const list: unknown = typeof value === "string" ? [value] : value;
  return readList(list, field, inputsMax).map((each, index) => {
    const param = `${field}[${index}]`;
    const image = each instanceof Uint8Array ? each : fromBase64(each, param);
    if (!(image instanceof Uint8Array) || image.length > 0) return image;
    throw new MillraceError("input_empty", `\`${param}\` is empty.`, { param });
  });
}

/** What the pictures hold, and the objects around them. */
export function heldImageBytes(images: readonly ImageInput[]): number {
  const bytes = (image: ImageInput): number => ("problem" in image ? 0 : image.byteLength);
  return images.reduce((sum, image) => sum + bytes(image) + 256, 0);
}

/** Node reads over what is no base64 as if it were not there; a caller who sent something else should learn it. */
function fromBase64(value: unknown, param: string): ImageInput {
  if (typeof value !== "string") throw badField(param, `must be base64, not ${kindOf(value)}`);
  if (!/^[\w+/-]*={0,2}$/.test(value)) return { problem: "The picture is not base64." };
  return Buffer.from(value, "base64");
}
