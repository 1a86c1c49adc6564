/**
 * Tells the parent what the next run works on, before it blocks this thread. A decoder step takes a millisecond, so
 * steps are announced together: one frame stands for all runs of the next `quietMs`, unless an item begins.
 */
import type { ChildFrame } from "../frames/messages.js";
import type { RunAnnouncement } from "./engine.js";

const quietMs = 20;

export class Announcer {
  readonly #send: (frame: ChildFrame) => void;
  readonly #begun: () => readonly number[];
  #lastAtMs = Number.NEGATIVE_INFINITY;
  #announcedMs = 0;

  constructor(send: (frame: ChildFrame) => void, begun: () => readonly number[]) {
    this.#send = send;
    this.#begun = begun;
  }

  announce(model: string, run: RunAnnouncement): void {
    const nowMs = performance.now();
    const quiet = nowMs - this.#lastAtMs < quietMs && run.predictedMs <= this.#announcedMs;
    if (quiet && !run.itemsBegin) return;
    this.#lastAtMs = nowMs;
    this.#announcedMs = run.predictedMs + quietMs;
    this.#send({
      type: "run",
      model,
      stage: run.stage,
      rows: run.rows,
      width: run.width,
      predictedMs: this.#announcedMs,
      begunItemIds: this.#begun(),
      memoryBytes: process.memoryUsage.rss(),
    });
  }
}
