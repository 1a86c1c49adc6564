/**
 * Time, as a thing that is passed in: the server's rooms run on the machine's clock, the simulator runs the same rooms on
 * a made one, where a second takes no time and every seed repeats.
 */
export interface Clock {
  /** Milliseconds that never go back; only differences mean anything. */
  now(): number;
  /**
   * Calls the action once, not before `delayMs` have passed. Returns what takes the call back, at any time. A call in the
   * `background` keeps no process alive: what looks at things from time to time, and is not waited for.
   */
  after(delayMs: number, action: () => void, kind?: "background"): () => void;
}

/** `setTimeout` takes no more: a longer delay would end at once. */
export const timerMsMax: number = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, action, kind) {
    const atMs = performance.now() + delayMs;
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const leftMs = Math.max(0, Math.ceil(atMs - performance.now()));
      timer = setTimeout(onTime, Math.min(leftMs, timerMsMax));
      if (kind === "background") timer.unref();
    };
    // Timers have a limit, and may fire a little before their time on this clock: then there is a rest to wait for.
    const onTime = (): void => (performance.now() < atMs ? wait() : action());
    wait();
    return () => clearTimeout(timer);
  },
};
