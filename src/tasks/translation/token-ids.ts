/** Token ids that a caller sends instead of text. */
import { MillraceError } from "millrace-client/wire";
import type { PrepareStep } from "../../work/piece.js";
import type { TranslateSettings } from "./input.js";
import { pieceOf, truncateTokens } from "./piece-of.js";

export interface TokenIdLimits {
  readonly vocabulary: number;
  readonly inputTokensMax: number;
  readonly padTokenId: number;
}

/**
 * Takes the ids as they are, as transformers does with `input_ids`: the end token belongs to them and is not
 * added where it is missing. `truncate` keeps the last id, so that a text cut short still ends with it.
 */
export function* tokenIdSteps(
  given: readonly number[],
  at: { readonly index: number; readonly settings: TranslateSettings },
  { vocabulary, inputTokensMax, padTokenId }: TokenIdLimits,
): Generator<PrepareStep> {
  const param = `tokenIds[${at.index}]`;
  const tokenIds = at.settings.padded === true ? withoutPadding(given, padTokenId) : given;
  if (tokenIds.length === 0) {
    yield refuse("input_empty", `${param} is empty`, param);
    return;
  }
  const bad = tokenIds.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
  if (bad !== -1) {
    const message = `${param}[${bad}] is ${tokenIds[bad]}; the vocabulary has ${vocabulary} tokens`;
    yield refuse("token_out_of_range", message, `${param}[${bad}]`);
    return;
  }
  const truncated = tokenIds.length > inputTokensMax;
  if (truncated && !at.settings.truncate) {
    const message = `${param} has ${tokenIds.length} tokens; the limit is ${inputTokensMax}`;
    yield refuse("input_too_long", message, param);
    return;
  }
  const kept = truncated ? truncateTokens(tokenIds, inputTokensMax) : tokenIds;
  yield { kind: "piece", piece: pieceOf({ tokenIds: kept, joiner: "" }, at.settings) };
  yield { kind: "end", note: { prefix: "", truncated } };
}

/** Rows of one width have it at their ends; a token of that id before other ones is the caller's. */
function withoutPadding(tokenIds: readonly number[], padTokenId: number): readonly number[] {
  return tokenIds.slice(0, tokenIds.findLastIndex((id) => id !== padTokenId) + 1);
}

function refuse(
  code: "input_empty" | "token_out_of_range" | "input_too_long",
  message: string,
  param: string,
): PrepareStep {
  return { kind: "error", error: new MillraceError(code, message, { param }).toWire() };
}
