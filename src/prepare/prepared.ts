/** What `prepare` gives to the scheduler's side: each text as pieces that the model takes, or why it cannot. */
import type { WireError } from "millrace-client/wire";

/** The part of a request that prepare reads. */
export interface PrepareRequest {
  /** Null: the only model served. */
  readonly model: string | null;
  readonly inputs:
    | { readonly kind: "texts"; readonly texts: readonly string[] }
    | { readonly kind: "tokenIds"; readonly tokenIds: readonly (readonly number[])[] };
  readonly truncate: boolean;
  readonly split: boolean;
}

export interface PreparedPiece {
  readonly tokenIds: readonly number[];
  /** White space between this piece and the next one, or after the last; "" where there was none. */
  readonly joiner: string;
}

export type PreparedText =
  | {
      readonly ok: true;
      /** White space before the first piece. */
      readonly prefix: string;
      /** Empty for a text of white space only. */
      readonly pieces: readonly PreparedPiece[];
      readonly truncated: boolean;
    }
  | { readonly ok: false; readonly error: WireError };

export interface Prepare {
  /**
   * One entry for each input, in order; a bad input fails alone. Throws `model_not_found`, `queue_full` where
   * too many large requests are in work, and `cancelled` when the signal aborts.
   */
  prepare(request: PrepareRequest, signal: AbortSignal): Promise<readonly PreparedText[]>;
  /** The text of generated ids: special tokens are left out, and unknown pieces leave nothing. */
  detokenize(model: string | null, tokenIds: readonly number[]): string;
}
