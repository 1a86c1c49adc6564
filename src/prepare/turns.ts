/**
 * Work on the event loop in turns. All jobs together take at most `turnMs` (and one step of one job) before
 * sockets and timers have their turn again; a job that is not finished goes to the end of the line. How many
 * jobs there can be is bounded by admission, in front of this.
 */
const turnMs = 4;

interface Job {
  readonly signal: AbortSignal;
  /** Does one step; true when that was the last. */
  readonly advance: () => boolean;
  readonly fail: (error: unknown) => void;
}

export class Turns {
  readonly #line: Job[] = [];
  #isScheduled = false;

  /** Runs the generator to its end and gives what it returns. Rejects with the signal's reason when it aborts. */
  async run<Result>(work: Generator<unknown, Result>, signal: AbortSignal): Promise<Result> {
    return await new Promise<Result>((finish, fail) => {
      const advance = () => {
        const { done, value } = work.next();
        if (done === true) finish(value);
        return done === true;
      };
      this.#line.push({ signal, advance, fail });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#line.length === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#turn(performance.now() + turnMs);
      this.#schedule();
    });
  }

  #turn(endsAtMs: number): void {
    while (performance.now() < endsAtMs) {
      const job = this.#line.shift();
      if (job === undefined) return;
      if (!this.#isFinished(job, endsAtMs)) this.#line.push(job);
    }
  }

  #isFinished(job: Job, endsAtMs: number): boolean {
    if (job.signal.aborted) {
      job.fail(job.signal.reason);
      return true;
    }
    try {
      do {
        if (job.advance()) return true;
      } while (performance.now() < endsAtMs);
      return false;
    } catch (error) {
      job.fail(error);
      return true;
    }
  }
}
