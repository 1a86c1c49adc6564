/** Waits for the first pipeline; gives up when each has ended at least once and none was ever up. */
import { MillraceError } from "millrace-client/wire";

export class FirstUp {
  readonly promise: Promise<void>;
  readonly #reasons = new Map<string, string>();
  #resolve: () => void = () => {};
  #reject: (error: MillraceError) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Nobody may be waiting yet when it fails.
    this.promise.catch(() => {});
  }

  up(): void {
    this.#resolve();
  }

  failed({ pipelineId, reason }: { pipelineId: string; reason: string }, pipelines: number): void {
    this.#reasons.set(pipelineId, reason);
    if (this.#reasons.size < pipelines) return;
    const reasons = [...this.#reasons].map(([id, why]) => `\n  ${id}: ${why}`).join("");
    this.#reject(new MillraceError("not_ready", `no pipeline could start${reasons}`));
  }

  stopped(): void {
    this.#reject(new MillraceError("draining", "stopped before a pipeline was ready"));
  }
}
