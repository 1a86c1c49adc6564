/** Sentences that advance together: an arena, and for each slot the job that stands in it. */

import type { WorkClass } from "millrace-client/wire";
import type { GenerationSettings } from "../../work/generation.js";
import { Arena, type ArenaShape, type EncodedBatch } from "./arena.js";
import type { Candidates, Search } from "./search/search.js";

export interface Job {
  readonly itemId: number;
  readonly tokenIds: readonly number[];
  readonly settings: GenerationSettings;
  readonly workClass: WorkClass;
  readonly search: Search;
  readonly receivedAtMs: number;
  /** Physical row, within the slot, of each hypothesis. */
  readonly rows: Int32Array;
  /** After a run with it failed it runs by itself, so that it fails by itself. */
  readonly alone: boolean;
}

export class Lane {
  readonly workClass: WorkClass;
  readonly arena: Arena;
  readonly jobs: Job[] = [];
  /** Newest token of each physical row. */
  readonly tokens: Int32Array;

  constructor(workClass: WorkClass, shape: ArenaShape) {
    this.workClass = workClass;
    this.arena = new Arena(shape);
    this.tokens = new Int32Array(shape.slotsMax * shape.width);
  }

  add(job: Job, encoded: EncodedBatch, index: number): void {
    const slot = this.arena.add(encoded, index, job.tokenIds.length);
    this.jobs[slot] = job;
    for (let beam = 0; beam < job.search.width; beam += 1) job.rows[beam] = beam;
    this.#putTokens(slot, job);
  }

  remove(slot: number): void {
    const moved = this.arena.remove(slot);
    const last = this.jobs.pop();
    if (moved === -1 || last === undefined) return;
    this.jobs[slot] = last;
    this.#putTokens(slot, last);
  }

  /** Lets the job's search choose from the step's candidates; true when it has ended. */
  advance(slot: number, candidates: Candidates): boolean {
    const job = this.#jobAt(slot);
    if (job.search.advance(candidates, job.rows)) return true;
    this.#reorder(slot, job);
    this.#putTokens(slot, job);
    return false;
  }

  /**
   * The first child of a hypothesis stays in its row, so that only a second child costs a copy; it takes the row
   * of a hypothesis without children. Rows keep no order, `job.rows` does.
   */
  #reorder(slot: number, job: Job): void {
    const { parents, width } = job.search;
    if (width === 1) return;
    const next = new Int32Array(width).fill(-1);
    const taken = new Set<number>();
    for (let beam = 0; beam < width; beam += 1) {
      const row = job.rows[parents[beam] ?? 0] ?? 0;
      if (taken.has(row)) continue;
      taken.add(row);
      next[beam] = row;
    }
    let free = 0;
    for (let beam = 0; beam < width; beam += 1) {
      if (next[beam] !== -1) continue;
      while (taken.has(free)) free += 1;
      taken.add(free);
      next[beam] = free;
      this.arena.copyRow(slot, job.rows[parents[beam] ?? 0] ?? 0, free);
    }
    job.rows.set(next);
  }

  #putTokens(slot: number, job: Job): void {
    const { width, tokens } = job.search;
    for (let beam = 0; beam < width; beam += 1) {
      this.tokens[slot * width + (job.rows[beam] ?? 0)] = tokens[beam] ?? 0;
    }
  }

  #jobAt(slot: number): Job {
    const job = this.jobs[slot];
    if (job === undefined) throw new Error(`no job in slot ${slot}`);
    return job;
  }
}
