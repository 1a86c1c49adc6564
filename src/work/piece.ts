/** READ FIRST: what prepare makes of the inputs of a request, hence what everything behind it works on. */
import type { WireError } from "millrace-client/wire";
import type { Cost } from "./cost.js";
import type { JsonValue, Payload } from "./payload.js";

/** One run of the model: what becomes an item. */
export interface Piece {
  readonly payload: Payload;
  readonly cost: Cost;
  /** What the task needs again to join the outcomes; it never leaves this process. */
  readonly note: JsonValue;
}

/** One input, at its place in the request. Bad ones fail alone. */
export type PreparedInput =
  /** Pieces in order; none where the model has nothing to do for it. */
  | { readonly ok: true; readonly pieces: readonly Piece[]; readonly note: JsonValue }
  | { readonly ok: false; readonly error: WireError };

/** The work of preparing, cut into steps of a few milliseconds at most: whoever runs it decides when to go on. */
export type PrepareStep =
  /** Work was done and nothing is ready yet. */
  | { readonly kind: "pause" }
  | { readonly kind: "piece"; readonly piece: Piece }
  /**
   * The pieces since the last end are the input's. `bytes`: about what the note and the result of it hold, where that is counted
   * with no piece.
   */
  | { readonly kind: "end"; readonly note: JsonValue; readonly bytes?: number }
  /** The pieces since the last end are void. */
  | { readonly kind: "error"; readonly error: WireError };
