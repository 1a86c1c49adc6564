import { type WorkClass, workClasses } from "millrace-client/wire";
import type { ModelState } from "./model-state.js";

/** What keeps a model's pipelines full, and no fuller: nobody gains by more of it at once. */
export interface Recommendation {
  /** Items of a request that fills one pipeline. */
  readonly batchItems: number;
  /** So many of such requests, and no pipeline waits for the next one. */
  readonly requestsInFlight: number;
  /** Items that are through within the realtime target, as fast as the pipelines were lately; null: nothing was seen yet. */
  readonly realtimeItemsInFlight: number | null;
}

/** Share of the past that each batch leaves standing: about the last fifty count. */
const keep = 0.98;

/** What an item of a model mostly is, of what was sent. */
export class UsualItem {
  #items = 0;
  #rows = 0;
  #units = 0;

  learn(batch: { readonly items: number; readonly rows: number; readonly units: number }): void {
    this.#items = this.#items * keep + batch.items;
    this.#rows = this.#rows * keep + batch.rows;
    this.#units = this.#units * keep + batch.units;
  }

  /** One until something was sent. */
  get rows(): number {
    return this.#items === 0 ? 1 : this.#rows / this.#items;
  }

  /** Null until something was sent. */
  get units(): number | null {
    return this.#items === 0 ? null : this.#units / this.#items;
  }
}

/**
 * Of what was learned of the model: null where no pipeline has it. One request runs on each pipeline, and one waits behind it, so that
 * nothing idles between a reply and the caller's next request.
 */
export function recommendationFor(
  model: ModelState,
  { realtimeTargetMs }: { readonly realtimeTargetMs: number },
): Recommendation | null {
  const { pipelines, usual, pace } = model;
  const able = pipelines.filter(({ leaving }) => !leaving);
  if (able.length === 0) return null;
  const rowsMax = Math.min(...able.map(({ capacity }) => capacity.rowsMax));
  const batchItems = Math.max(1, Math.floor(batchRows(model, rowsMax) / usual.rows));
  const rows = pace.rowsWithin(realtimeTargetMs) * countFor(model, "realtime");
  const realtimeItemsInFlight = Number.isFinite(rows)
    ? Math.max(1, Math.floor(rows / usual.rows))
    : null;
  const most = Math.max(...workClasses.map((each) => countFor(model, each)));
  return { batchItems, requestsInFlight: 2 * most, realtimeItemsInFlight };
}

/** Rows of the batch that a pipeline is best at: learned where a batch is one run, else all that run at once. */
function batchRows(model: ModelState, rowsMax: number): number {
  const { usual, place, cost } = model;
  const runRowsMax = Math.min(rowsMax, place.runRowsMax ?? rowsMax);
  if (model.mode === "continuous" || usual.units === null) return runRowsMax;
  return Math.min(runRowsMax, (cost.bestFor("bulk") / usual.units) * usual.rows);
}

/** Pipelines that serve a class. */
function countFor(model: ModelState, workClass: WorkClass): number {
  return model.pipelines.filter((each) => !each.leaving && model.serves(each, workClass)).length;
}
