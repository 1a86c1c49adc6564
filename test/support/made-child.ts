/** Children that are not there: a pool on a virtual clock, whose processes do what the test says. */
import type { ChildFrame, ParentFrame } from "#src/frames/messages.js";
import { framesVersion } from "#src/frames/messages.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import type { Clock } from "#src/work/clock.js";
import type { ChildEvents, ChildPort } from "#src/worker/child.js";
import type { PoolEvent } from "#src/worker/events.js";
import { Pool, type PoolOptions } from "#src/worker/pool.js";
import { quiet } from "./pool.js";

class MadeChild implements ChildPort {
  readonly pid: number;
  readonly heard: ParentFrame[] = [];
  killed = false;
  readonly events: ChildEvents;

  constructor(pid: number, events: ChildEvents) {
    this.pid = pid;
    this.events = events;
  }

  send(frame: ParentFrame): void {
    this.heard.push(frame);
  }

  kill(): void {
    this.killed = true;
  }

  say(...frames: readonly ChildFrame[]): void {
    for (const frame of frames) this.events.onFrame(frame);
  }

  /** It says hello, is told to load its model, and has done so. */
  startUp(): void {
    this.say(
      { type: "hello", version: framesVersion, pid: this.pid },
      { type: "loading", model: "m" },
      { type: "loaded", model: "m", loads: 1, modelBytes: 1, memoryBytes: 1, ms: 1 },
    );
  }

  end(signal: string): void {
    this.events.onEnd({ kind: "signalled", signal });
  }
}

export class MadePool {
  readonly clock: VirtualClock = new VirtualClock();
  readonly children: MadeChild[] = [];
  readonly events: PoolEvent[] = [];
  readonly pool: Pool;

  constructor(options: Partial<PoolOptions> = {}) {
    const clock: Clock = {
      now: () => this.clock.nowMs,
      after: (delayMs, action) => this.clock.after(delayMs, action),
    };
    const spec = { pipelineId: "p0", kind: "shared", modelMemoryBytesMax: 1_000 } as const;
    this.pool = new Pool(
      {
        entry: "none",
        log: quiet,
        pipelines: [{ ...spec, threads: 1 }],
        clock,
        random: () => 1 - Number.EPSILON,
        sample: () => null,
        memoryKillCounter: () => null,
        spawn: (_, events) => {
          const child = new MadeChild(1_000 + this.children.length, events);
          this.children.push(child);
          return child;
        },
        ...options,
      },
      (event) => {
        this.events.push(event);
        if (event.type === "up") this.pool.load("p0", { model: "m", modelDir: "/m", rowsMax: 8 });
      },
    );
    this.pool.start();
  }

  /** The process that runs now. */
  get child(): MadeChild {
    const child = this.children.at(-1);
    if (child === undefined) throw new Error("no child was spawned");
    return child;
  }

  /** Lets time pass until the condition holds; throws where nothing more would happen. */
  passUntil(condition: () => boolean): void {
    while (!condition()) {
      if (!this.clock.advance()) throw new Error("nothing more happens, and it never came");
    }
  }
}
