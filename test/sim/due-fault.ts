/** When a child misbehaves: with the frame that its plan names by its number, at a time, or with the first frame behind that time. */
import type { ChildFrame } from "#src/frames/messages.js";
import type { FaultKind, FaultPlan } from "./plan.js";
import type { Random } from "./random.js";

export class DueFault {
  /** Undefined: it never does. */
  readonly kind: FaultKind | undefined;
  readonly #when: FaultPlan["when"] | undefined;
  readonly #random: Random;
  #said = 0;
  #isDue = false;

  constructor(plan: FaultPlan | null, random: Random) {
    this.kind = plan?.kind;
    this.#when = plan?.when;
    this.#random = random;
  }

  /** After the start; null: no time is planned. */
  get atMs(): number | null {
    return this.#when !== undefined && "ms" in this.#when ? this.#when.ms : null;
  }

  /** Its time has come, and it needs a frame to be seen. */
  awaitFrame(): void {
    this.#isDue = true;
  }

  /** What happens with this frame, which is about to be said; null: nothing. Call it once a frame. */
  takeWith(frame: ChildFrame): FaultKind | null {
    const when = this.#when;
    if (when !== undefined && "frame" in when && when.frame === this.#said) this.#isDue = true;
    this.#said += 1;
    // Mostly this lie waits for the frame that it is about.
    const waits =
      this.kind === "recalled-too-many" && frame.type !== "recalled" && this.#random.chance(0.9);
    if (!this.#isDue || this.kind === undefined || waits) return null;
    this.#isDue = false;
    return this.kind;
  }
}
