/** The processor time of a simulated child, as the kernel would count it. */
import type { ProcessSample } from "#src/platform/system.js";

export class ProcessorTime {
  #busySinceMs: number | null = null;
  #busyMs = 0;
  #spinsSinceMs: number | null = null;
  /** Others have the processor while it runs. */
  starved = false;
  stopped = false;

  get isBusy(): boolean {
    return this.#busySinceMs !== null;
  }

  get spins(): boolean {
    return this.#spinsSinceMs !== null;
  }

  begin(nowMs: number): void {
    this.#busySinceMs = nowMs;
  }

  pause(nowMs: number): void {
    if (this.#busySinceMs !== null && !this.starved) this.#busyMs += nowMs - this.#busySinceMs;
    this.#busySinceMs = null;
  }

  spin(nowMs: number): void {
    this.#spinsSinceMs = nowMs;
  }

  sample(nowMs: number): ProcessSample {
    const running = this.#busySinceMs === null || this.starved ? 0 : nowMs - this.#busySinceMs;
    const spun = this.#spinsSinceMs === null ? 0 : nowMs - this.#spinsSinceMs;
    const runnable = !this.stopped && (this.isBusy || this.spins);
    return { cpuMs: this.#busyMs + running + spun, stopped: this.stopped, runnable };
  }
}
