/** Portions back into the inputs of a request. */
import type { Piece, PreparedInput } from "../work/piece.js";
import { type Portion, piecesOf } from "./portion.js";
import type { PieceBudget } from "./prepare.js";

export class PreparedInputs {
  readonly inputs: PreparedInput[] = [];
  readonly #budget: PieceBudget;
  /** Of the input that has not ended. */
  #pieces: Piece[] = [];

  constructor(budget: PieceBudget) {
    this.#budget = budget;
  }

  /** Pieces that are kept of the input that has not ended. */
  get openPieces(): number {
    return this.#pieces.length;
  }

  /** Throws what the budget throws, and keeps nothing of the portion then. */
  add(portion: Portion): void {
    if (portion.pieces > 0 || portion.bytes > 0) this.#budget.take(portion.pieces, portion.bytes);
    const pieces = piecesOf(portion);
    let taken = 0;
    for (const end of portion.ends) {
      for (; taken < end.after; taken += 1) this.#keep(pieces.next().value);
      if ("note" in end) {
        this.inputs.push({ ok: true, pieces: this.#pieces, note: end.note });
      } else {
        this.inputs.push({ ok: false, error: end.error });
      }
      this.#pieces = [];
    }
    for (const piece of pieces) this.#keep(piece);
  }

  #keep(piece: Piece | undefined): void {
    if (piece !== undefined) this.#pieces.push(piece);
  }
}
