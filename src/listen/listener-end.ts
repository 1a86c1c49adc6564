/**
 * How a listener ends: it takes no new work, what it took is answered, and then it closes; each of it once, whoever asks, and in a bounded
 * time.
 */
import { within } from "../work/within.js";

export interface ListenerEndParts {
  /** Nothing of what was taken is open. */
  readonly isIdle: () => boolean;
  /** For what is still on its way out then. */
  readonly sent?: () => Promise<void>;
  /** Ends what is open, and the listening. */
  readonly cutOff: () => void | Promise<void>;
}

/** Whoever is cut off is told so, for a moment. */
const cutOffMs = 1_000;

export class ListenerEnd {
  readonly #parts: ListenerEndParts;
  #onIdle: (() => void) | null = null;
  #draining: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(parts: ListenerEndParts) {
    this.#parts = parts;
  }

  get isDraining(): boolean {
    return this.#draining !== null;
  }

  /** As `RunningListener` has it. */
  drained(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  /** As `RunningListener` has it. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Something of what was taken has ended. */
  ended(): void {
    if (this.#parts.isIdle()) this.#onIdle?.();
  }

  async #drain(): Promise<void> {
    if (!this.#parts.isIdle()) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    await this.#parts.sent?.();
  }

  async #close(): Promise<void> {
    await within(cutOffMs, this.drained());
    await this.#parts.cutOff();
  }
}
