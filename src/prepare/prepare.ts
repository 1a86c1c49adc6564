/** The seam between prepare and submit: inputs become pieces, whatever their task. */
import type { WorkClass } from "millrace-client/wire";
import type { JsonObject } from "../work/payload.js";
import type { PreparedInput } from "../work/piece.js";

/** What a request may still hold; pieces are counted while they are made, not when all of them are in memory. */
export interface PieceBudget {
  /** So many will come, or more: throws `too_many_items` where so many never have room. Takes nothing. */
  foresee(pieces: number): void;
  /** Room for so many that will be taken; throws `queue_full` or `too_many_items` where there is none. */
  reserve(pieces: number): void;
  /** Throws `queue_full` or `too_many_items` where these are too many: then preparing ends at once. */
  take(pieces: number, bytes: number): void;
}

export interface PrepareRequest {
  /** A name that is served. */
  readonly model: string;
  /** The model's own, which is the default, or one that it serves beside it. */
  readonly task?: string;
  readonly inputs: readonly unknown[];
  readonly settings: JsonObject;
  /** Who goes first. It may change while pieces are counted: a page turns out to be bulk. */
  readonly class: () => WorkClass;
  readonly tenant: string;
  readonly budget: PieceBudget;
}

export interface Prepare {
  /** One entry for each input. Rejects with the signal's reason as soon as it aborts, whatever is under way. */
  prepare(request: PrepareRequest, signal: AbortSignal): Promise<PreparedInput[]>;
}
