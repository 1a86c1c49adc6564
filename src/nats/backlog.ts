/**
 * What a node has still to do, as somebody reckons who heard of it up to a second ago: what it said, and what was sent to it since, less the
 * time that has passed. The other edges do as this one does, and each hears only of its own: what one sends stands for what all send.
 *
 *   heard: 80 ms ──► 30 ms later: 50 ──► an item of 20 ms sent, of two edges: 90 ──► …
 */
export class Backlog {
  #ms = 0;
  #atMs = 0;

  said(waitMs: number, nowMs: number): void {
    this.#ms = waitMs;
    this.#atMs = nowMs;
  }

  /** So much of the node's time was sent there, by one of so many edges. */
  sent(ms: number, edges: number, nowMs: number): void {
    this.#ms = this.at(nowMs) + ms * Math.max(1, edges);
    this.#atMs = nowMs;
  }

  at(nowMs: number): number {
    return Math.max(0, this.#ms - (nowMs - this.#atMs));
  }
}
