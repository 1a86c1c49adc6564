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
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
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

/** The counter of the process that asks. `root` is for tests: where `/proc` and `/sys` lie. */
export function findMemoryKillCounter(root = "/"): MemoryKillCounter {
  const path = candidates(root).find((file) => readCount(file) !== null);
  return () => (path === undefined ? null : readCount(path));
}

function candidates(root: string): string[] {
  const groups = new Map<string, string>();
  const list = join(root, "proc/self/cgroup");
  for (const line of existsSync(list) ? readFileSync(list, "utf8").split("\n") : []) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const controller of controllers.split(",")) groups.set(controller, path);
  }
  const mount = join(root, "sys/fs/cgroup");
  // In a container the group may be mounted as the root, whatever its name outside.
  return [
    join(mount, groups.get("") ?? "/", "memory.events"),
    join(mount, "memory.events"),
    join(mount, "memory", groups.get("memory") ?? "/", "memory.oom_control"),
    join(mount, "memory", "memory.oom_control"),
    join(root, "proc/vmstat"),
  ];
}

function readCount(path: string): number | null {
  try {
    const [, count] = /^oom_kill (\d+)$/m.exec(readFileSync(path, "latin1")) ?? [];
    return count === undefined ? null : Number(count);
  } catch {
    return null;
  }
}
