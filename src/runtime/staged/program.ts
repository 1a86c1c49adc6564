/**
 * READ FIRST of this folder. What a model does between an item and its outcome, as the staged engine sees it: stages, each of
 * which runs batches of whatever waits for it, and code between them that turns one stage's result into 0..n inputs of another.
 *
 *   item ── begin ──► input of a stage ── run, with others ──► the outcome
 *                                                        └──► 0..n inputs of another stage ── run ──► … ── gather ──► the outcome
 *
 * Stages of a model run in one process, so pixels and hidden states never travel. Only inputs of one batch key share a
 * run, and only those of like width are packed together (packing.ts); what an item holds between stages is counted in bytes.
 *
 *   staged-engine.ts   the loop: items in, runs, outcomes        choosing.ts   which run is next, and who shares it: pure
 *   active-item.ts     an item, and the tree of its inputs       packing.ts    neighbours in width
 *   programs.ts        which program a manifest names            programs/     a program each
 */
import type { Cost } from "../../work/cost.js";
import type { Payload } from "../../work/payload.js";

/** What waits for a run of a stage. */
export interface StageInput {
  /** Index in `Program.stages`. */
  readonly stage: number;
  /** `bytes`: what `data` keeps alive; of an item's first input nobody counts it again, its payload was counted before. */
  readonly cost: Cost;
  /**
   * What the inputs that its result becomes will hold, where that is known, such as the pixels of a picture: they are
   * counted from the moment when its run begins. Default 0.
   */
  readonly makesBytes?: number;
  /** Only the program's own code reads it. */
  readonly data: unknown;
}

export type StageResult =
  /** The result of this input: of the item itself where it had no other, else what its `gather` gets. */
  | { readonly kind: "done"; readonly value: unknown }
  /** This input becomes others; when all of them are done, `gather` makes its result of theirs, in their order. */
  | {
      readonly kind: "next";
      /** May be none: then `gather` is called with none, at once. */
      readonly inputs: readonly StageInput[];
      /** What it throws is the failure of this input. */
      readonly gather: (results: readonly StageResultValue[]) => unknown;
    }
  /** This input alone is bad: so is its item, unless a `gather` above it can do without. */
  | { readonly kind: "failed"; readonly error: unknown };

/** Of an input that others were made of. */
export type StageResultValue =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };

export interface Stage {
  /** Short: a label of metrics. */
  readonly name: string;
  /**
   * `session`: a run that blocks this thread; one at a time. `thread`: work that others do meanwhile, such as decoding a
   * picture; several at a time, `run` is called with one input each, and must end by itself: it cannot be cancelled.
   */
  readonly kind: "session" | "thread";
  /** The most that one run takes, or of a thread stage all that are under way; a single input may be more. */
  readonly limits: { readonly rowsMax: number; readonly paddedUnitsMax: number };
  /**
   * One result for each input, in order. What throws fails the run: it is tried again in halves, and an input that fails by
   * itself is bad. A MillraceError's code is the outcome's.
   */
  run(inputs: readonly StageInput[]): Promise<readonly StageResult[]>;
}

export interface Program {
  readonly stages: readonly Stage[];
  /**
   * The first input of an item, or why the payload is not one of this model's. Cheap: the work belongs into stages.
   * `runUnits`: most units of a stage's run that end in time, by what was measured. A single input may be more, and then
   * everybody waits for it: what can be cut should be.
   */
  begin(payload: Payload, runUnits: (stage: number) => number): StageInput | string;
  /** An item's outcome from the result of its first input: the program's own value into what its task reads. */
  finish(value: unknown): Payload;
  /** Small items that use every stage, before anybody waits; each must have a good outcome. */
  warmUp(): readonly Payload[];
  /** Why the answer to a warm-up item is not sane, or null. */
  judgeWarmUp(answer: Payload): string | null;
  release(): Promise<void>;
}
