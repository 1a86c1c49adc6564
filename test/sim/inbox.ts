/** What the parent sends to a simulated child: it arrives in order, late, and mostly in pieces. */
import { FrameDecoder } from "#src/frames/codec.js";
import { encodeFrame } from "#src/frames/encode.js";
import type { ParentFrame } from "#src/frames/messages.js";
import { parseParentFrame } from "#src/frames/shapes.js";
import type { ChildWorld } from "./child-world.js";
import type { Random } from "./random.js";
import { cut } from "./voice.js";

interface InboxOptions {
  readonly world: ChildWorld;
  readonly random: Random;
  /** Nothing arrives any more. */
  readonly isDeaf: () => boolean;
  readonly onArrival: () => void;
  readonly onTooLarge: (itemId: number) => void;
}

export class Inbox {
  readonly #o: InboxOptions;
  readonly #decoder = new FrameDecoder(parseParentFrame);
  readonly #frames: ParentFrame[] = [];
  #lastArrivalMs = 0;

  constructor(options: InboxOptions) {
    this.#o = options;
  }

  send(frame: ParentFrame): void {
    const { world, random, isDeaf, onArrival } = this.#o;
    const { clock, surroundings } = world;
    const atMs = Math.max(this.#lastArrivalMs, clock.now() + surroundings.latencyMs);
    this.#lastArrivalMs = atMs;
    const fitting = this.#withoutTooLarge(frame);
    const bytes = surroundings.bytes ? encodeFrame(fitting) : null;
    clock.at(atMs, () => {
      if (isDeaf()) return;
      if (bytes === null) this.#frames.push(fitting);
      else for (const chunk of cut(bytes, random)) this.#frames.push(...this.#decoder.push(chunk));
      onArrival();
    });
  }

  take(): ParentFrame | undefined {
    return this.#frames.shift();
  }

  has(itemId: number): boolean {
    return this.#frames.some(
      (frame) => frame.type === "batch" && frame.items.some((item) => item.itemId === itemId),
    );
  }

  /** What fits into no frame is told to the parent, soon, and never sent. */
  #withoutTooLarge(frame: ParentFrame): ParentFrame {
    if (frame.type !== "batch") return frame;
    const { world, onTooLarge } = this.#o;
    const items = frame.items.filter(({ itemId, payload }) => {
      if (world.planOf(payload).answer !== "too-large") return true;
      world.clock.at(world.clock.now(), () => onTooLarge(itemId));
      return false;
    });
    return { ...frame, items };
  }
}
