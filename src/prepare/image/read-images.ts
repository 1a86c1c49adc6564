/** Lists of pictures in a caller's fields, for every task that takes pictures. */
import { MillraceError } from "millrace-client/wire";
import { badField, kindOf } from "../../work/fields.js";
import { readList } from "../text/read-texts.js";

/**
 * A list of picture files, or one: bytes where the front had them, else base64. Whether they are pictures is seen later, for each by
 * itself. Throws as `readList`.
 */
export function readImages(
  value: unknown,
  field: string,
  inputsMax: number,
): readonly Uint8Array[] {
  const list: unknown = typeof value === "string" ? [value] : value;
  return readList(list, field, inputsMax).map((each, index) => {
    const param = `${field}[${index}]`;
    const bytes = each instanceof Uint8Array ? each : fromBase64(each, param);
    if (bytes.length > 0) return bytes;
    throw new MillraceError("input_empty", `\`${param}\` is empty.`, { param });
  });
}

/** What the pictures hold, and the objects around them. */
export function heldImageBytes(images: readonly Uint8Array[]): number {
  return images.reduce((sum, { byteLength }) => sum + byteLength + 256, 0);
}

/** Node reads over what is no base64 as if it were not there; a caller who sent something else should learn it. */
function fromBase64(value: unknown, param: string): Uint8Array {
  if (typeof value !== "string") throw badField(param, `must be base64, not ${kindOf(value)}`);
  if (!/^[\w+/-]*={0,2}$/.test(value)) throw badField(param, "is not base64");
  return Buffer.from(value, "base64");
}
