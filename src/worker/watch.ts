/**
 * Whether a child hangs. A child cannot answer during a run, so it is not pinged; it announces runs, and the
 * watch compares silence with what was announced and with the processor time that the process used.
 *
 *   silence ≤ floor + factor × predicted ───────────────► fine
 *   longer, and processor time moves ───────────────────► suspect: slow, not hung
 *   longer, and processor time stands still for a while ► hung
 *   longer than runMsMax, whatever it does ─────────────► hung
 *
 * Where the system does not tell the time only the last line holds. A process that somebody stopped (SIGSTOP, a debugger) stands still
 * too, but then its items are not to blame.
 */
import type { ProcessSample } from "../platform/system.js";

export interface WatchOptions {
  readonly checkMs: number;
  readonly hangFloorMs: number;
  readonly hangFactor: number;
  /** Checks in a row without processor time that make a suspect hung. */
  readonly stillChecksMax: number;
  readonly runMsMax: number;
}

export type Judgement =
  | { readonly state: "fine" }
  | { readonly state: "suspect"; readonly reason: string }
  | { readonly state: "hung"; readonly reason: string; readonly outside: boolean };

const fine: Judgement = { state: "fine" };
/** Two ticks of Linux's process accounting: a timer or a collector that stirs is not progress. */
const stillCpuMs = 20;

export class Watch {
  readonly #options: WatchOptions;
  #heardAtMs: number;
  #lookedAtMs: number;
  #predictedMs = 0;
  #cpuMs: number | null = null;
  #stillChecks = 0;

  constructor(options: WatchOptions, nowMs: number) {
    this.#options = options;
    this.#heardAtMs = nowMs;
    this.#lookedAtMs = nowMs;
  }

  /** The child said something, or was given work while it had none. */
  heard(nowMs: number, predictedMs?: number): void {
    this.#heardAtMs = nowMs;
    this.#predictedMs = predictedMs ?? this.#predictedMs;
    this.#cpuMs = null;
    this.#stillChecks = 0;
  }

  /** Called every `checkMs` while the child holds items; `sample` is asked only where it matters. */
  look(nowMs: number, sample: () => ProcessSample | null): Judgement {
    // When we ourselves were away (stopped, swapped out) its frames may lie unread: then the silence was ours.
    const away = nowMs - this.#lookedAtMs > 4 * this.#options.checkMs;
    this.#lookedAtMs = nowMs;
    if (away) this.heard(nowMs);
    const silentMs = nowMs - this.#heardAtMs;
    const { hangFloorMs, hangFactor, runMsMax, stillChecksMax } = this.#options;
    if (silentMs <= Math.min(hangFloorMs + hangFactor * this.#predictedMs, runMsMax)) return fine;
    const now = sample();
    const reason = `silent for ${Math.round(silentMs)} ms where ${Math.round(this.#predictedMs)} ms were predicted`;
    const outside = now?.stopped ?? false;
    if (silentMs > runMsMax) return { state: "hung", reason, outside };
    if (now === null) return { state: "suspect", reason };
    const still = this.#cpuMs !== null && !now.runnable && now.cpuMs - this.#cpuMs < stillCpuMs;
    this.#stillChecks = still ? this.#stillChecks + 1 : 0;
    this.#cpuMs = now.cpuMs;
    if (this.#stillChecks < stillChecksMax) return { state: "suspect", reason };
    return {
      state: "hung",
      reason: `${reason}, ${outside ? "stopped from outside" : "using no processor time"}`,
      outside,
    };
  }
}
