/** Submit, with each request written into its model's page of the book. */
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit/submit.js";
import type { TaskForm } from "../work/task-form.js";
import type { ModelBook } from "./model-book.js";

export class CountedSubmit implements Submit {
  readonly #submit: Submit;
  readonly #book: ModelBook;
  readonly #isServed: (model: string) => boolean;

  constructor(submit: Submit, book: ModelBook, isServed: (model: string) => boolean) {
    this.#submit = submit;
    this.#book = book;
    this.#isServed = isServed;
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return this.#submit.tasks;
  }

  async submit(
    request: SubmitRequest,
    signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const { model } = request;
    const beganAtMs = performance.now();
    let failedInputs = 0;
    try {
      const summary = await this.#submit.submit(request, signal, {
        ...events,
        onOutcome: (outcome) => {
          if ("error" in outcome.outcome) failedInputs += 1;
          events.onOutcome(outcome);
        },
      });
      this.#book.ended(summary, failedInputs);
      return summary;
    } catch (error) {
      // A name that nobody serves is what a caller wrote: nothing is kept of it.
      if (model !== null && this.#isServed(model)) {
        this.#book.failed(model, performance.now() - beganAtMs);
      }
      throw error;
    }
  }
}
