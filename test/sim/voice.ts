/** The way from a simulated child to its parent: later, in order, and in a share of the schedules as bytes that are cut anywhere. */
import { FrameDecoder } from "#src/frames/codec.js";
import { encodeFrame } from "#src/frames/encode.js";
import type { ChildFrame } from "#src/frames/messages.js";
import { ProtocolError } from "#src/frames/protocol-error.js";
import { parseChildFrame } from "#src/frames/shapes.js";
import type { ChildWorld, Lie } from "./child-world.js";
import type { Random } from "./random.js";

export interface VoiceOptions {
  readonly world: ChildWorld;
  readonly random: Random;
  /** Nothing that it says arrives any more. */
  readonly isOver: () => boolean;
  readonly isGood: () => boolean;
  readonly onFrame: (frame: ChildFrame) => void;
  readonly onBroken: (error: ProtocolError) => void;
  /** After the parent heard a thing for which it must end the child. */
  readonly onLie: (what: string) => void;
}

export class Voice {
  readonly #o: VoiceOptions;
  readonly #decoder = new FrameDecoder(parseChildFrame);
  /** On top of the usual latency. */
  extraMs = 0;
  /** When the last thing that was said arrives. */
  arrivesAtMs: number;

  constructor(options: VoiceOptions) {
    this.#o = options;
    this.arrivesAtMs = options.world.clock.now();
  }

  get speaksBytes(): boolean {
    return this.#o.world.surroundings.bytes;
  }

  say(frame: ChildFrame, lie: Lie | null = null): void {
    if (this.speaksBytes) this.sayBytes(encodeFrame(frame), lie, frame);
    else this.#later(() => this.#o.onFrame(frame), lie);
  }

  sayBytes(bytes: Buffer, lie: Lie | null, frame: ChildFrame | null = null): void {
    const isGood = frame !== null && lie === null;
    // A lie that may not be told after all comes in one piece, or what is left out would be half of it.
    if (lie !== null) return this.#later(() => this.#read(bytes, false), lie);
    for (const chunk of cut(bytes, this.#o.random))
      this.#later(() => this.#read(chunk, isGood), null);
  }

  #read(chunk: Buffer, isGood: boolean): void {
    try {
      for (const frame of this.#decoder.read(chunk)) {
        if (this.#o.isOver()) return;
        this.#o.onFrame(frame);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (isGood && this.#o.isGood())
        this.#o.world.judge("a good child is never killed", `a good frame: ${error.message}`);
      if (!this.#o.isOver()) this.#o.onBroken(error);
    }
  }

  sayBroken(what: string): void {
    this.#later(() => this.#o.onBroken(new ProtocolError(what)), { what, now: () => "sure" });
  }

  #later(action: () => void, lie: Lie | null): void {
    const { clock, surroundings } = this.#o.world;
    const atMs = clock.now() + surroundings.latencyMs + this.extraMs;
    this.arrivesAtMs = Math.max(this.arrivesAtMs, atMs);
    clock.at(this.arrivesAtMs, () => {
      if (this.#o.isOver()) return;
      const truth = lie?.now() ?? "maybe";
      if (truth === "none") return;
      action();
      if (lie !== null && truth === "sure") this.#o.onLie(lie.what);
    });
  }
}

/** Whole, or in two. */
export function cut(bytes: Buffer, random: Random): Buffer[] {
  const at = random.int(0, bytes.length);
  return random.chance(0.3) ? [bytes] : [bytes.subarray(0, at), bytes.subarray(at)];
}

/** For the trace. */
export function briefFrame(frame: ChildFrame): string {
  if (frame.type === "items")
    return `items ${frame.outcomes.map(({ itemId, ok }) => `${itemId}${ok ? "" : "!"}`).join()}`;
  if (frame.type === "run") return `run ${frame.stage} of ${frame.begunItemIds.join()}`;
  if (frame.type === "recalled") return `recalled ${frame.itemIds.join()}`;
  return "model" in frame ? `${frame.type} ${frame.model}` : frame.type;
}
