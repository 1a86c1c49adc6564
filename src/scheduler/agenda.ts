import type { ModelState } from "./model-state.js";
import { OrderedHeap } from "./ordered-heap.js";

/**
 * Which models a step looks at. What a model may be sent changes with its own events, and with time: when its window ends,
 * and when its oldest item passes the age limit. So a step looks at the models that its event touched and at those whose
 * time has come, in O(log M) each for M models; all others cost nothing.
 *
 * ```
 *   touched: a            looks:  b ── d ─┬─ e ── …  (by time)
 *                                        now                      to look at: a, b, d
 * ```
 */
export class Agenda {
  #touched: ModelState[] = [];
  readonly #looks = new Timetable();
  readonly #windows = new Timetable();

  touch(model: ModelState): void {
    if (model.isTouched) return;
    model.isTouched = true;
    this.#touched.push(model);
  }

  /** The models to look at now, in the order in which the scheduler heard of them; each must be planned anew. */
  take(nowMs: number): readonly ModelState[] {
    if (this.#looks.firstMs <= nowMs) for (const model of this.#looks.due(nowMs)) this.touch(model);
    return this.takeTouched();
  }

  /** Those that were touched since; each must be planned anew. */
  takeTouched(): readonly ModelState[] {
    const models = this.#touched;
    if (models.length === 0) return models;
    this.#touched = [];
    for (const model of models) model.isTouched = false;
    return models.length === 1 ? models : models.sort((a, b) => a.sequence - b.sequence);
  }

  /** When the model wants to be looked at though nothing happens to it; `Infinity`: never. */
  plan(model: ModelState, at: { readonly windowEndsMs: number; readonly agesAtMs: number }): void {
    this.#looks.set(model, Math.min(at.windowEndsMs, at.agesAtMs));
    this.#windows.set(model, at.windowEndsMs);
  }

  /** When the first window ends; `Infinity`: there is none. Age alone wakes nobody: room is made by events. */
  get windowEndsMs(): number {
    return this.#windows.firstMs;
  }
}

interface Appointment {
  readonly model: ModelState;
  readonly atMs: number;
}

/** At most one time for each model. */
class Timetable {
  readonly #of = new Map<ModelState, Appointment>();
  readonly #byTime = new OrderedHeap<Appointment>((a, b) => a.atMs < b.atMs);

  get firstMs(): number {
    return this.#byTime.peek()?.atMs ?? Infinity;
  }

  set(model: ModelState, atMs: number): void {
    const before = this.#of.get(model);
    if (before?.atMs === atMs) return;
    if (before === undefined && atMs === Infinity) return;
    if (before !== undefined) this.#byTime.delete(before);
    this.#of.delete(model);
    if (atMs === Infinity) return;
    const appointment = { model, atMs };
    this.#of.set(model, appointment);
    this.#byTime.add(appointment);
  }

  *due(nowMs: number): Generator<ModelState, void, undefined> {
    for (const { model, atMs } of this.#byTime.ordered()) {
      if (atMs > nowMs) return;
      yield model;
    }
  }
}
