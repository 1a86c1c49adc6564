/** Token ids that a caller sends instead of text. */
import { MillraceError } from "millrace-client/wire";
import type { PreparedText } from "./prepared.js";
import { truncateTokens } from "./steps.js";

export interface TokenIdLimits {
  readonly vocabulary: number;
  readonly inputTokensMax: number;
  readonly truncate: boolean;
}

/**
 * Takes the ids as they are, as transformers does with `input_ids`: the end token belongs to them and is not
 * added where it is missing. `truncate` keeps the last id, so that a text cut short still ends with it.
 */
export function prepareTokenIds(
  tokenIds: readonly number[],
  index: number,
  limits: TokenIdLimits,
): PreparedText {
  const { vocabulary, inputTokensMax, truncate } = limits;
  const param = `tokenIds[${index}]`;
  if (tokenIds.length === 0) return refuse("input_empty", `${param} is empty`, param);
  const bad = tokenIds.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (bad !== -1) {
    const message = `${param}[${bad}] is ${tokenIds[bad]}; the vocabulary has ${vocabulary} tokens`;
    return refuse("token_out_of_range", message, `${param}[${bad}]`);
  }
  const truncated = tokenIds.length > inputTokensMax;
  if (truncated && !truncate) {
    const message = `${param} has ${tokenIds.length} tokens; the limit is ${inputTokensMax}`;
    return refuse("input_too_long", message, param);
  }
  const kept = truncated ? truncateTokens(tokenIds, inputTokensMax) : tokenIds;
  return { ok: true, prefix: "", pieces: [{ tokenIds: kept, joiner: "" }], truncated };
}

function refuse(
  code: "input_empty" | "token_out_of_range" | "input_too_long",
  message: string,
  param: string,
): PreparedText {
  return { ok: false, error: new MillraceError(code, message, { param }).toWire() };
}
