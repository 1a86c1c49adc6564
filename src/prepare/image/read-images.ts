/** Lists of pictures in a caller's fields, for every task that takes pictures. */
import { MillraceError } from "millrace-client/wire";
import { badField, kindOf } from "../../work/fields.js";
import { readList } from "../text/read-texts.js";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * A list of picture files, or one: bytes where the front had them, else base64. Whether they are pictures is seen later, for each by
 * itself. Throws as `readList`.
 */
export function readImages(
  value: unknown,
  field: string,
  inputsMax: number,
): readonly Bytes[] {
  const list: unknown = typeof value === "string" ? [value] : value;
  return readList(list, field, inputsMax).map((each, index) => {
    const param = `${field}[${index}]`;
    const bytes = isBytes(each) ? each : fromBase64(each, param);
    if (bytes.length > 0) return bytes;
    throw new MillraceError("input_empty", `\`${param}\` is empty.`, { param });
  });
}

function isBytes(value: unknown): value is Bytes {
  return value instanceof Uint8Array && value.buffer instanceof ArrayBuffer;
}

/** What the pictures hold, and the objects around them. */
export function heldImageBytes(images: readonly Bytes[]): number {
  return images.reduce((sum, { byteLength }) => sum + byteLength + 256, 0);
}

/** Node reads over what is no base64 as if it were not there; a caller who sent something else should learn it. */
function fromBase64(value: unknown, param: string): Bytes {
  if (typeof value !== "string") throw badField(param, `must be base64, not ${kindOf(value)}`);
  if (!/^[\w+/-]*={0,2}$/.test(value)) throw badField(param, "is not base64");
  return Buffer.from(value, "base64");
}
