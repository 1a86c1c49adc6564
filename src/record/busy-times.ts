/** For how long each pipeline had something to do, between what it says of its runs: what of that was no run is the way there and back. */
interface Busy {
  /** Null: it has nothing. */
  sinceMs: number | null;
}

export class BusyTimes {
  readonly #pipelines = new Map<string, Busy>();

  dispatched(pipelineId: string, nowMs: number): void {
    const busy = this.#pipelines.get(pipelineId);
    if (busy === undefined) return;
    busy.sinceMs ??= nowMs;
  }

  /** Since the report before. The first one says nothing: 0. */
  measured(
    pipelineId: string,
    { nowMs, isBusy }: { readonly nowMs: number; readonly isBusy: boolean },
  ): number {
    const busy = this.#pipelines.get(pipelineId);
    const busyMs = busy?.sinceMs == null ? 0 : nowMs - busy.sinceMs;
    this.#pipelines.set(pipelineId, { sinceMs: isBusy ? nowMs : null });
    return busyMs;
  }

  forget(pipelineId: string): void {
    this.#pipelines.delete(pipelineId);
  }
}
