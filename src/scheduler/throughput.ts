/** Over so much time under load the past counts: what was measured before fades. */
const memoryMs = 10_000;
/** Less than this says nothing: the first runs of a process are its slowest. */
const knownMs = 1_000;

/**
 * What a pipeline gets done in a millisecond while more of the model waits than it can hold, and its process does nothing else. Unlike the
 * line of a stage it knows that stages overlap, and unlike `Pace` it never takes a pipeline that idles for a slow one.
 */
export class Throughput {
  #effort = 0;
  #ms = 0;

  /** `effort`: units × rows that one pipeline had outcomes of in these milliseconds, under load from their first to their last. */
  learn(effort: number, ms: number): void {
    const left = Math.exp(-ms / memoryMs);
    // It fades within these milliseconds too: a stall of a minute would else outweigh the minutes behind it.
    const weight = ms > 0 ? (memoryMs * (1 - left)) / ms : 1;
    this.#effort = this.#effort * left + effort * weight;
    this.#ms = this.#ms * left + ms * weight;
  }

  /** How fast one pipeline is depends on how many there are: those of one machine share its memory and its cores. */
  forget(): void {
    this.#effort = 0;
    this.#ms = 0;
  }

  /** Milliseconds of one pipeline; 0 where nothing is known. */
  expectedMs(effort: number): number {
    if (this.#ms < knownMs || this.#effort <= 0) return 0;
    return (effort * this.#ms) / this.#effort;
  }
}
