import { AgeLine, type ReadonlyLine } from "./age-line.js";
import type { RequestEntry } from "./request-book.js";

/** Requests by a number, a length bucket or a size class, each line oldest first. */
export type RequestsBy = ReadonlyMap<number, ReadonlyLine>;

/** Lines of requests by a number; empty lines are not kept. */
export class AgeLines extends Map<number, AgeLine> {
  put(number: number, request: RequestEntry): void {
    let line = this.get(number);
    if (line === undefined) {
      line = new AgeLine();
      this.set(number, line);
    }
    line.add(request);
  }

  drop(number: number, request: RequestEntry): void {
    const line = this.get(number);
    line?.delete(request);
    if (line?.size === 0) this.delete(number);
  }
}

/**
 * Requests by batch key and length bucket. Callers choose keys as they like, so a key is forgotten with its last queued
 * item: there are never more of them than queued items.
 */
export class KeyedLines {
  readonly #byKey = new Map<string, AgeLines>();

  get keys(): number {
    return this.#byKey.size;
  }

  /** Undefined where nobody queues the key. */
  get(batchKey: string): RequestsBy | undefined {
    return this.#byKey.get(batchKey);
  }

  /** Made where they are not there; they stay the same ones as long as anybody stands in one of them. */
  of(batchKey: string): AgeLines {
    let lines = this.#byKey.get(batchKey);
    if (lines === undefined) {
      lines = new AgeLines();
      this.#byKey.set(batchKey, lines);
    }
    return lines;
  }

  forgetIfEmpty(batchKey: string): void {
    if (this.#byKey.get(batchKey)?.size === 0) this.#byKey.delete(batchKey);
  }
}
