/** What is classified: a text, a pair of texts, or a picture; all inputs of a request are of the kind that its model takes. */
import type { TextOrPair } from "millrace-client/wire";
import type { ImageInput } from "../../prepare/image/read-images.js";
import { badField } from "../../work/fields.js";
import type { JsonObject } from "../../work/payload.js";

export type ClassificationInput = TextOrPair | ImageInput;

export function isText(input: ClassificationInput): input is TextOrPair {
  return typeof input === "string" || Array.isArray(input);
}

/** As the fields are called. */
export type InputKind = "texts" | "images";

/** @throws MillraceError `bad_request` where the request's inputs are of the other kind. */
export function refuseKind(
  { kind }: JsonObject,
  { name, takes }: { readonly name: string; readonly takes: InputKind },
): void {
  if (kind === undefined || kind === takes) return;
  throw badField(takes === "texts" ? "images" : "texts", `${name} takes \`${takes}\``);
}
