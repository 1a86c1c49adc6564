/**
 * Whether the kernel killed a process because memory ran out. It does so with SIGKILL, as an operator does; what tells
 * them apart is a counter, the first of these that can be read:
 *
 *   cgroup v2   memory.events       `oom_kill N`     of the server's own group, which its workers share
 *   cgroup v1   memory.oom_control  `oom_kill N`
 *   machine     /proc/vmstat        `oom_kill N`     of everything that runs here
 *
 * The counter has no names. Each step up explains one death, and only one that was seen within `rememberMs` of it: a kill
 * of some other process in the group must not put the blame for an operator's kill, an hour later, on an item.
 */
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { cgroupFolders, type ReadText } from "../cgroup.js";
import type { Clock } from "../work/clock.js";

/** The kernel's counter; null where there is none. */
export type MemoryKillCounter = () => number | null;

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

/** The counter of the process that asks; files are looked for once, and read at each call. */
export function findMemoryKillCounter(read: ReadText = readText): MemoryKillCounter {
  const path = [
    ...cgroupFolders(read, ["memory"]).map((folder) =>
      posix.join(folder.path, folder.version === 2 ? "memory.events" : "memory.oom_control"),
    ),
    "/proc/vmstat",
  ].find((file) => countIn(read(file)) !== null);
  return () => (path === undefined ? null : countIn(read(path)));
}

function countIn(text: string | null): number | null {
  const [, count] = /^oom_kill (\d+)$/m.exec(text ?? "") ?? [];
  return count === undefined ? null : Number(count);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return null;
  }
}
