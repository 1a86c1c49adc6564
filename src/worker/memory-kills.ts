/**
 * Whether the kernel killed a process because memory ran out. It does so with SIGKILL, as an operator does; what tells
 * them apart is a counter of the kernel's (platform/linux.ts).
 *
 * The counter has no names. Each step up explains one death, and only one that was seen within `rememberMs` of it: a kill
 * of some other process in the group must not put the blame for an operator's kill, an hour later, on an item.
 */
import type { MemoryKillCounter } from "../platform/system.js";
import type { Clock } from "../work/clock.js";

const rememberMs = 5_000;
/** However many pipelines ask, the file is read ten times a second at most. */
const lookMs = 100;
/** More processes than these do not die of one shortage and count. */
const risesMax = 1_024;

export class MemoryKills {
  readonly #clock: Clock;
  readonly #counter: MemoryKillCounter;
  #counted: number | null;
  #lookedAtMs: number;
  /** When each kill that explains no death yet was seen, oldest first. */
  readonly #risesAtMs: number[] = [];

  constructor(clock: Clock, counter: MemoryKillCounter) {
    this.#clock = clock;
    this.#counter = counter;
    this.#counted = counter();
    this.#lookedAtMs = clock.now();
  }

  /** Called from time to time, so that a kill is known by its time. */
  look(): void {
    if (this.#clock.now() - this.#lookedAtMs >= lookMs) this.#read();
  }

  /** A worker died of SIGKILL just now: was it the kernel? Each kill explains one death. */
  explainsDeath(): boolean {
    this.#read();
    return this.#risesAtMs.shift() !== undefined;
  }

  #read(): void {
    const counted = this.#counter();
    const nowMs = this.#clock.now();
    this.#lookedAtMs = nowMs;
    const rises = this.#counted === null || counted === null ? 0 : counted - this.#counted;
    this.#counted = counted;
    for (let seen = 0; seen < Math.min(rises, risesMax); seen += 1) this.#risesAtMs.push(nowMs);
    const fresh = this.#risesAtMs.findIndex((atMs) => nowMs - atMs <= rememberMs);
    this.#risesAtMs.splice(0, fresh === -1 ? this.#risesAtMs.length : fresh);
  }
}
