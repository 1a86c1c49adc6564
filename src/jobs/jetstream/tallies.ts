/**
 * Which chunks of a job have results, and what they add up to: as the headers of the results say. A bit a chunk and some sums, for
 * each job that has not ended.
 *
 *   stream   result 0 ─ result 2 ─ result 1 ─ fence ─ result 3
 *                                              └ the job ended here: result 3 came too late, and counts nowhere
 */
import type { ChunkResults, JobProgress } from "../store.js";

export type ResultNumbers = Omit<ChunkResults, "index" | "body">;

export class ChunkTally {
  /** Sequence of the fence. */
  fence: number | null = null;
  #bits = new Uint8Array(64);
  #chunks = 0;
  #succeeded = 0;
  #failed = 0;
  #outputBytes = 0;
  #errorBytes = 0;

  /** False: it is counted already, or too late. */
  add(index: number, sequence: number, numbers: ResultNumbers): boolean {
    if (this.has(index) || (this.fence !== null && sequence > this.fence)) return false;
    const at = index >>> 3;
    if (at >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(at + 1, 2 * this.#bits.length));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (index & 7));
    this.#chunks++;
    this.#succeeded += numbers.succeeded;
    this.#failed += numbers.failed;
    this.#outputBytes += numbers.outputBytes;
    this.#errorBytes += numbers.errorBytes;
    return true;
  }

  /** With results. */
  get chunks(): number {
    return this.#chunks;
  }

  has(index: number): boolean {
    return ((this.#bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  nextUndone(from: number, chunks: number): number {
    let index = from;
    while (index < chunks) {
      // Eight at a time where all of them are done.
      if ((index & 7) === 0 && this.#bits[index >>> 3] === 0xff) index += 8;
      else if (this.has(index)) index++;
      else return index;
    }
    return chunks;
  }

  progress(): JobProgress {
    return {
      chunks: this.#chunks,
      succeeded: this.#succeeded,
      failed: this.#failed,
      outputBytes: this.#outputBytes,
      errorBytes: this.#errorBytes,
    };
  }
}

export function packResultNumbers(results: ResultNumbers): readonly number[] {
  const { firstLine, lines, succeeded, failed, outputBytes, errorBytes } = results;
  return [firstLine, lines, succeeded, failed, outputBytes, errorBytes];
}

export function readResultNumbers(numbers: readonly number[]): ResultNumbers {
  const [firstLine = 0, lines = 0, succeeded = 0, failed = 0, outputBytes = 0, errorBytes = 0] =
    numbers;
  return { firstLine, lines, succeeded, failed, outputBytes, errorBytes };
}
