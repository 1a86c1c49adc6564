import { type WorkClass, workClasses } from "millrace-client/wire";
import type { FedPipeline } from "./fed-pipeline.js";
import type { MemoryShare } from "./memory-shares.js";
import type { ModelState } from "./model-state.js";
import type { HostSpec } from "./types.js";

/**
 * One process, as the scheduler believes it to be: what it hosts, and what keeps it from being fed.
 *
 * ```
 *   residents   a ▓▓▓▓   b ▓▓   c ▓▓▓▓▓  │ free          each a FedPipeline: what it holds of one model
 *   load        d, which takes the process for itself until it is there
 *   plan        d, when b has drained                    b is fed no more
 *   reserved    for suspects of a: all of it drains      nothing is fed
 * ```
 */
export class Host {
  readonly spec: HostSpec;
  readonly residents: Map<string, FedPipeline> = new Map();
  /** What the process loads now, or is about to: nothing is fed meanwhile, it would only wait. */
  load: HostLoad | null = null;
  /** What it will load when room has been made for it. */
  plan: HostPlan | null = null;
  /** Whose suspects it is kept free for, or runs. */
  reservedFor: ModelState | null = null;
  readonly inFlight: Record<WorkClass, number> = { realtime: 0, bulk: 0 };
  /** What each model counts with here; replaced whenever that may have changed. */
  shares: ReadonlyMap<string, MemoryShare> = new Map();

  constructor(spec: HostSpec) {
    this.spec = spec;
  }

  get items(): number {
    return this.inFlight.realtime + this.inFlight.bulk;
  }

  /** Whether it may be given a load, or a plan for one. */
  get isOpen(): boolean {
    return this.load === null && this.plan === null && this.reservedFor === null;
  }

  get usedBytes(): number {
    let bytes = this.load === null ? 0 : this.bytesFor(this.load.model);
    for (const { model } of this.residents.values()) bytes += this.bytesFor(model);
    return bytes;
  }

  get freeBytes(): number {
    return this.spec.modelMemoryBytesMax - this.usedBytes;
  }

  /** What a model counts with here. One that goes has no share any more, and still takes what it took. */
  bytesFor({ model, place }: ModelState): number {
    return this.shares.get(model)?.bytes ?? Math.min(place.bytes, this.spec.modelMemoryBytesMax);
  }

  isTooSmallFor({ model }: ModelState): boolean {
    return this.shares.get(model)?.isTooLarge ?? false;
  }

  /** Whether it was configured for this class. */
  isMeantFor(workClass: WorkClass): boolean {
    const { kind } = this.spec;
    return kind === "shared" || kind === workClass;
  }

  get meantFor(): readonly WorkClass[] {
    return workClasses.filter((workClass) => this.isMeantFor(workClass));
  }

  /** Expected time until what each of its models runs first is through: they take turns. */
  busyMs(nowMs: number): number {
    let ms = 0;
    for (const resident of this.residents.values()) ms += resident.firstBusyMs(nowMs);
    return ms;
  }
}

export interface HostLoad {
  readonly model: ModelState;
  /** As it was told: the model may be announced anew meanwhile. */
  readonly rowsMax: number;
}

export interface HostPlan {
  /** Null: only to make room. */
  readonly model: ModelState | null;
  /** They are fed no more, and are unloaded when nothing of them is in flight. */
  readonly victims: readonly FedPipeline[];
  /** Also where nobody waits. */
  readonly isWanted: boolean;
}
