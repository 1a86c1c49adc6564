/** A sentence of ids as what the generation engine takes. */
import { type GenerationSettings, generationPayload } from "../../work/generation.js";
import type { Piece } from "../../work/piece.js";

/** What a piece holds in memory beside its ids and its joiner: 100 measured, over 196,000 of "Hi!", and some room. */
const pieceBytes = 120;

export interface Sentence {
  /** As the model takes them, end token included. */
  readonly tokenIds: readonly number[];
  /** White space that followed the sentence; put back behind its translation. */
  readonly joiner: string;
}

export function pieceOf({ tokenIds, joiner }: Sentence, settings: GenerationSettings): Piece {
  const tokens = tokenIds.length;
  const bytes = pieceBytes + tokens * Int32Array.BYTES_PER_ELEMENT + 2 * joiner.length;
  return {
    payload: generationPayload({ tokenIds, settings }),
    cost: { units: tokens, width: tokens, rows: settings.beams, bytes, batchKey: "" },
    note: joiner,
  };
}

/** Keeps the last token, which is the end token where the ids have one, as transformers' truncation does. */
export function truncateTokens(tokenIds: readonly number[], tokensMax: number): number[] {
  return [...tokenIds.slice(0, tokensMax - 1), ...tokenIds.slice(-1)];
}
