/**
 * Whose run is next in a process that hosts several models. Pure: no engine, no clock.
 *
 * ```
 *   realtime   a ─ b ─ a ─ b      who has realtime work goes first, whoever was served least
 *   bulk only          c          in the time that realtime leaves, and for the share that it is owed beside it
 * ```
 * So a realtime item of one model waits for the run of another's that is under way, and never for its job. Bulk is not
 * starved: each millisecond of realtime makes its share owed, and when that pays for a run, one is made.
 */
import { OwedShare, usualBulkShare } from "./owed-share.js";

export interface TurnTaker {
  /** It has realtime work, waiting or begun. */
  readonly hasRealtime: boolean;
  /** Of its next run. */
  predictedMs(): number;
}

/** What is owed after an hour of realtime is not paid back by an hour of bulk. */
const owedMsMax = 1_000;

export class EngineTurns<Taker extends TurnTaker> {
  /** Served time of those that have work; who comes (back) starts at the least of them, never in credit. */
  readonly #servedMs = new Map<Taker, number>();
  readonly #share = new OwedShare(usualBulkShare, owedMsMax);
  /** The last run was bulk's, in spite of realtime work. */
  #hasGivenWay = false;

  /** The taker whose run is next among those with work, in their order where they were served alike; null: nobody has any. */
  next(active: readonly Taker[]): Taker | null {
    this.#admit(active);
    const realtime = active.filter(({ hasRealtime }) => hasRealtime);
    const bulk = this.#leastServed(active.filter(({ hasRealtime }) => !hasRealtime));
    const first = this.#leastServed(realtime);
    const { owed } = this.#share;
    const isPaid = bulk !== null && owed > 0 && owed >= bulk.predictedMs();
    // However much is owed: after a long run of realtime, several of bulk would follow each other.
    const isOwed = first !== null && isPaid && !this.#hasGivenWay;
    this.#hasGivenWay = isOwed;
    return isOwed ? bulk : (first ?? bulk);
  }

  /** It made a run; `active`: those who had work when it began. */
  ran(taker: Taker, ms: number, active: readonly Taker[]): void {
    const servedMs = this.#servedMs.get(taker);
    if (servedMs !== undefined) this.#servedMs.set(taker, servedMs + ms);
    const bulkWaits = active.some((each) => each !== taker && !each.hasRealtime);
    if (taker.hasRealtime) this.#share.realtimeServed(ms, bulkWaits);
    else this.#share.bulkServed(ms, false);
  }

  #admit(active: readonly Taker[]): void {
    const present = new Set(active);
    for (const taker of this.#servedMs.keys())
      if (!present.has(taker)) this.#servedMs.delete(taker);
    const leastMs = this.#servedMs.size === 0 ? 0 : Math.min(...this.#servedMs.values());
    for (const taker of active) if (!this.#servedMs.has(taker)) this.#servedMs.set(taker, leastMs);
  }

  #leastServed(takers: readonly Taker[]): Taker | null {
    let least: Taker | null = null;
    for (const taker of takers) {
      const servedMs = this.#servedMs.get(taker) ?? 0;
      if (least === null || servedMs < (this.#servedMs.get(least) ?? 0)) least = taker;
    }
    return least;
  }
}
