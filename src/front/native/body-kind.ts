/** What the body of `POST /v1/<task>` is. */
import { MillraceError } from "millrace-client/wire";
import type { Exchange } from "../../listen/http/http-front.js";
import type { FrontTask } from "../front.js";

/** What a body is: the request as JSON, one file, or a form with files. */
export type BodyKind = "json" | "file" | "form";

/** @throws MillraceError `unsupported_media_type` */
export function bodyKindOf(
  { headers }: Pick<Exchange, "headers">,
  { files }: Pick<FrontTask, "files">,
): BodyKind {
  const [type = "", ...parameters] = (headers["content-type"] ?? "")
    .split(";")
    .map((part) => part.trim().toLowerCase());
  if (files?.mediaTypes.some((range) => isOf(type, range)) === true) return "file";
  if (files !== undefined && type === "multipart/form-data") return "form";
  if (type !== "application/json") {
    const known = ["application/json", ...(files?.mediaTypes ?? [])];
    const all = files === undefined ? known : [...known, "multipart/form-data"];
    throw new MillraceError(
      "unsupported_media_type",
      `The body must be ${all.join(" or ")}, not ${type === "" ? "untyped" : JSON.stringify(type.slice(0, 128))}.`,
      { param: "content-type" },
    );
  }
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new MillraceError("unsupported_media_type", "JSON is UTF-8; no other charset is read.", {
      param: "content-type",
    });
  }
  return "json";
}

/** Of a range such as `image/*`. */
function isOf(type: string, range: string): boolean {
  return range.endsWith("/*") ? type.startsWith(range.slice(0, -1)) : type === range;
}
