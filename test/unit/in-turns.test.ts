/** Long work of a request leaves turns to others. */
import assert from "node:assert/strict";
import { type Mock, mock, test } from "node:test";
import { inTurns } from "#src/work/in-turns.js";

/** A clock that only the work moves: what others of the machine take is no time of it. */
class WorkedTime implements Disposable {
  readonly #now: Mock<() => number>;
  #nowMs = 0;

  constructor() {
    this.#now = mock.method(performance, "now", () => this.#nowMs);
  }

  *work(steps: number, stepMs: number): Generator<undefined, string> {
    for (let step = 0; step < steps; step += 1) {
      this.#nowMs += stepMs;
      yield;
    }
    return "done";
  }

  [Symbol.dispose](): void {
    this.#now.mock.restore();
  }
}

test("others have a turn while long work goes on, and none is waited for by what is short", async () => {
  using time = new WorkedTime();
  const seen: string[] = [];
  const long = inTurns(time.work(4, 6)).then((result) => seen.push(result));
  const short = inTurns(time.work(1_000, 0)).then(() => seen.push("short"));
  setImmediate(() => seen.push("other"));
  await Promise.all([long, short]);
  assert.deepEqual(seen, ["short", "other", "done"]);
});

test("what the work throws is thrown", async () => {
  const steps = (function* broken(): Generator<undefined, never> {
    yield;
    throw new Error("no");
  })();
  await assert.rejects(inTurns(steps), /no/);
});
