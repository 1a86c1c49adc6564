/** The seam between prepare and submit: texts become sentences of token ids, and token ids become text again. */
import type { WireError } from "millrace-client/wire";

export interface PreparedPiece {
  /** As the model takes them, end token included. */
  readonly tokenIds: readonly number[];
  /** White space that followed the sentence; put back behind its translation. */
  readonly joiner: string;
}

/** One text of the request, at the same place. Bad ones fail alone. */
export type PreparedText =
  | {
      readonly ok: true;
      /** Sentences in order; none where the text is only white space. */
      readonly pieces: readonly PreparedPiece[];
      /** White space before the first sentence. */
      readonly prefix: string;
      readonly truncated: boolean;
    }
  | { readonly ok: false; readonly error: WireError };

/** The part of a request that preparing needs; `model` is a name that is served. */
export interface PrepareRequest {
  readonly model: string;
  readonly inputs:
    | { readonly kind: "texts"; readonly texts: readonly string[] }
    | { readonly kind: "tokenIds"; readonly tokenIds: readonly (readonly number[])[] };
  readonly truncate: boolean;
  readonly split: boolean;
}

export interface Prepare {
  /** One entry for each text of the request. Rejects with the signal's reason when it aborts. */
  prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedText[]>;
  /** Leaves the model's special tokens out. */
  detokenize(model: string, tokenIds: readonly number[]): string;
}
