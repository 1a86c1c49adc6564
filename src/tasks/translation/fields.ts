/** The fields of a request that are translation's own: JSON → inputs and settings. */
import { translateLimits } from "millrace-client/wire";
import { heldBytes, readList, readTexts, readTokenIds } from "../../prepare/text/read-texts.js";
import { badField, Fields } from "../../work/fields.js";
import { generationLimits } from "../../work/generation.js";
import type { JsonObject } from "../../work/payload.js";
import type { ReadLimits, TaskRequest } from "../task.js";
import type { TranslationInput } from "./input.js";

export const translateFields = [
  "texts",
  "tokenIds",
  "beams",
  "lengthPenalty",
  "maxLength",
  "nBest",
  "truncate",
  "split",
  "padded",
] as const;

/** @throws MillraceError `bad_request`, `bad_encoding`, `too_many_items`, `input_empty`; `param` says where. */
export function readTranslate(
  body: Readonly<Record<string, unknown>>,
  limits: ReadLimits,
): TaskRequest<TranslationInput> {
  const fields = new Fields(body);
  const search = readSearch(fields);
  const inputs = readInputs(fields, limits);
  const truncate = fields.flag("truncate");
  const split = fields.flag("split");
  const padded = fields.flag("padded");
  return {
    inputs,
    bytes: heldBytes(inputs),
    settings: {
      ...search,
      ...(truncate === undefined ? {} : { truncate }),
      ...(split === undefined ? {} : { split }),
      ...(padded === undefined ? {} : { padded }),
    },
  };
}

/** That no more alternatives are asked for than beams are kept; beams that nobody named are the model's to say. */
export function checkNBest(nBest: number | undefined, beams: number): void {
  if (nBest === undefined || nBest <= beams) return;
  throw badField("nBest", `is ${nBest}, but only ${beams} beams are kept`);
}

function readSearch(fields: Fields): JsonObject {
  const { lengthPenaltyMax } = generationLimits;
  const beams = fields.integer("beams", [1, translateLimits.beamsMax]);
  const nBest = fields.integer("nBest", [1, translateLimits.beamsMax]);
  if (beams !== undefined) checkNBest(nBest, beams);
  const lengthPenalty = fields.finite("lengthPenalty", [-lengthPenaltyMax, lengthPenaltyMax]);
  const maxLength = fields.integer("maxLength", [2, 1_000_000]);
  return {
    ...(beams === undefined ? {} : { beams }),
    ...(nBest === undefined ? {} : { nBest }),
    ...(lengthPenalty === undefined ? {} : { lengthPenalty }),
    ...(maxLength === undefined ? {} : { maxLength }),
  };
}

function readInputs(fields: Fields, limits: ReadLimits): readonly TranslationInput[] {
  const texts = fields.value("texts");
  const tokenIds = fields.value("tokenIds");
  if ((texts === undefined) === (tokenIds === undefined)) {
    throw badField("texts", "exactly one of `texts` and `tokenIds` is needed");
  }
  if (texts === undefined)
    return readList(tokenIds, "tokenIds", limits.requestInputsMax).map((ids, index) =>
      readTokenIds(ids, `tokenIds[${index}]`),
    );
  return readTexts(texts, "texts", limits.requestInputsMax);
}
