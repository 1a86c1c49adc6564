import { withResolvers } from "../../work/with-resolvers.js";

/** One after the other, in the order in which they came. */
export class TakingTurns {
  #last: Promise<void> = Promise.resolve();

  /** Gives what ends the turn. @throws the signal's reason: then it was nobody's turn */
  async mine(signal: AbortSignal): Promise<() => void> {
    const before = this.#last;
    const { promise, resolve: leave } = withResolvers();
    this.#last = promise;
    let onAbort = (): void => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      signal.throwIfAborted();
      await Promise.race([before, aborted]);
      return leave;
    } catch (error) {
      // Whoever comes behind waits for who came before.
      before.then(leave, leave);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }
}
