/**
 * Time, as a thing that is passed in: the server's rooms run on the machine's clock, the simulator runs the same rooms on
 * a made one, where a second takes no time and every seed repeats.
 */
export interface Clock {
  /** Milliseconds that never go back; only differences mean anything. */
  now(): number;
  /** Calls the action once, not before `delayMs` have passed. Returns what takes the call back, at any time. */
  after(delayMs: number, action: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};
