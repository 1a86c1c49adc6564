/**
 * For how long each pipeline had items, from one report of its runs to the next. What of that time was no run went to the frames between
 * parent and child, and to the pipeline's own code between runs.
 */
export class BusyTimes {
  /** By pipeline, since when it has had items; null: it has none. Absent: it has not reported since the recording began. */
  readonly #sinceMs = new Map<string, number | null>();

  dispatched(pipelineId: string, nowMs: number): void {
    if (this.#sinceMs.get(pipelineId) === null) this.#sinceMs.set(pipelineId, nowMs);
  }

  /** Milliseconds since the report before. Of the first report nothing is known: 0. */
  measured(
    pipelineId: string,
    { nowMs, isBusy }: { readonly nowMs: number; readonly isBusy: boolean },
  ): number {
    const sinceMs = this.#sinceMs.get(pipelineId) ?? nowMs;
    this.#sinceMs.set(pipelineId, isBusy ? nowMs : null);
    return nowMs - sinceMs;
  }

  forget(pipelineId: string): void {
    this.#sinceMs.delete(pipelineId);
  }
}
