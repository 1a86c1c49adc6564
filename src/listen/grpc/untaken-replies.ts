/** Replies that their callers have not taken yet: their bytes are in one budget, and each has its time. */
export interface UntakenRepliesOptions {
  readonly bytesMax: number;
  readonly stallMs: number;
  /** Ends the connection of a caller who does not take what it asked for. */
  readonly disconnect: (peer: string) => void;
}

interface Untaken {
  readonly bytes: number;
  readonly peer: string;
  readonly timer: NodeJS.Timeout;
}

export class UntakenReplies {
  readonly #options: UntakenRepliesOptions;
  /** The one that has waited longest stands first. */
  readonly #untaken = new Set<Untaken>();
  #bytes = 0;

  constructor(options: UntakenRepliesOptions) {
    this.#options = options;
  }

  /** The function says that it was taken, or that nobody waits for it any more. Again: nothing. */
  add(bytes: number, peer: string): () => void {
    const { bytesMax, stallMs, disconnect } = this.#options;
    const timer = setTimeout(() => disconnect(peer), stallMs);
    timer.unref();
    const untaken = { bytes, peer, timer };
    this.#untaken.add(untaken);
    this.#bytes += bytes;
    while (this.#bytes > bytesMax) {
      const [longest] = this.#untaken;
      if (longest === undefined) break;
      this.#remove(longest);
      disconnect(longest.peer);
    }
    return () => this.#remove(untaken);
  }

  #remove(untaken: Untaken): void {
    if (!this.#untaken.delete(untaken)) return;
    clearTimeout(untaken.timer);
    this.#bytes -= untaken.bytes;
  }
}
