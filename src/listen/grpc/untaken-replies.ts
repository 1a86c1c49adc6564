/** Replies that their callers have not taken yet: their bytes are in one budget, and each has its time. */
import { ReplyBudget, ReplyShare } from "../reply-budget.js";

export interface UntakenRepliesOptions {
  readonly bytesMax: number;
  readonly stallMs: number;
  /** Ends the connection of a caller who does not take what it asked for. */
  readonly disconnect: (peer: string) => void;
}

export class UntakenReplies {
  readonly #options: UntakenRepliesOptions;
  readonly #budget: ReplyBudget;

  constructor(options: UntakenRepliesOptions) {
    this.#options = options;
    this.#budget = new ReplyBudget(options.bytesMax);
  }

  /** The function says that it was taken, or that nobody waits for it any more. Again: nothing. */
  add(bytes: number, peer: string): () => void {
    const { stallMs, disconnect } = this.#options;
    const share = new ReplyShare(this.#budget, () => {
      clearTimeout(timer);
      disconnect(peer);
    });
    const timer = setTimeout(() => share.disconnect(), stallMs);
    timer.unref();
    share.grow(bytes);
    return () => {
      clearTimeout(timer);
      share.release();
    };
  }
}
