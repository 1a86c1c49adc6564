/** What a child says that nobody may say: wrong bytes, and wrong words. */
import { encodeFrame } from "#src/frames/encode.js";
import type { ChildFrame } from "#src/frames/messages.js";
import type { ChildWorld, FaultyChild, Lie } from "./faulty-child.js";
import type { FaultKind } from "./plan.js";
import { answerTo } from "./task.js";

const nobody = 1_000_000_000;

export class Lies {
  readonly #child: FaultyChild;
  readonly #world: ChildWorld;

  constructor(child: FaultyChild, world: ChildWorld) {
    this.#child = child;
    this.#world = world;
  }

  /** Instead of the frame, or behind it. */
  tell(kind: FaultKind, frame: ChildFrame): void {
    const child = this.#child;
    // A frame that may come twice costs nothing: news are news.
    const isHarmless = kind === "frame-twice" && (frame.type === "run" || frame.type === "report");
    const isEmptyAnswer =
      kind === "frame-twice" && frame.type === "items" && frame.outcomes.length === 0;
    if (!isHarmless && !isEmptyAnswer) child.blame = kind;
    switch (kind) {
      case "torn":
        if (child.speaksBytes) {
          const bytes = encodeFrame(frame);
          child.deliverBytes(bytes.subarray(0, child.random.int(1, bytes.length - 1)), null);
        }
        return child.die("torn");
      case "flipped":
        if (!child.speaksBytes) return child.deliverBroken("flipped");
        return child.deliverBytes(flipped(encodeFrame(frame), child.random.int(0, 2)), sure(kind));
      case "garbage":
        if (!child.speaksBytes) return child.deliverBroken("garbage");
        return child.deliverBytes(Buffer.alloc(child.random.int(8, 40), 0xa5), sure(kind));
      case "field-wrong":
        if (!child.speaksBytes) return child.deliverBroken("field-wrong");
        return child.deliverBytes(this.#wrongField(frame), sure(kind));
      case "channel-closed":
        return child.closeChannel();
      case "frame-twice":
        child.deliver(frame);
        return child.deliver(frame, this.#twice(frame));
      default:
        child.deliver(frame);
        this.#lie(kind);
    }
  }

  #lie(kind: FaultKind): void {
    const child = this.#child;
    switch (kind) {
      case "outcome-unknown":
        return this.#outcome(nobody);
      case "outcome-of-another":
        return this.#outcome(this.#world.heldElsewhere(child.spec.pipelineId) ?? nobody);
      case "outcome-after-end":
        return this.#outcome(child.over.at(-1) ?? nobody);
      case "recalled-unasked":
        return child.deliver({ type: "recalled", itemIds: [] }, this.#unasked());
      case "recalled-too-many":
        return child.deliver({ type: "recalled", itemIds: [nobody] }, sure(kind));
      case "ready-twice":
        return child.deliver({ type: "ready", loads: 2, memoryBytes: 0 }, this.#onceReady(kind));
      case "run-of-too-many": {
        const begunItemIds = Array.from({ length: 10_000 }, (_, at) => nobody + at);
        const run = { type: "run", stage: "encode", rows: 1, width: 1, predictedMs: 1 } as const;
        return child.deliver({ ...run, begunItemIds, memoryBytes: 0 }, this.#onceReady(kind));
      }
      default:
        throw new Error(`${kind} is no lie`);
    }
  }

  #twice(frame: ChildFrame): Lie | null {
    if (frame.type === "recalled") return this.#unasked();
    const news = frame.type === "run" || frame.type === "report";
    return news ? null : sure(`${frame.type} twice`);
  }

  /** Where the parent waits for an answer this is taken for it, and the true answer is the lie. */
  #unasked(): Lie {
    return { what: "recalled unasked", now: () => (this.#child.asked > 0 ? "maybe" : "sure") };
  }

  #onceReady(what: string): Lie | null {
    return this.#child.saidReady ? sure(what) : null;
  }

  /** Where the item was given to this child meanwhile, a wrong outcome would be one that nobody can tell. */
  #outcome(itemId: number): void {
    const { pipelineId } = this.#child.spec;
    const value = answerTo({ values: { number: 0 }, tensors: {} });
    this.#child.deliver(
      { type: "items", outcomes: [{ itemId, ok: true, value }] },
      { what: "an outcome", now: () => (this.#world.holds(pipelineId, itemId) ? "none" : "sure") },
    );
  }

  /** The same frame with one field more, or with another type. */
  #wrongField(frame: ChildFrame): Buffer {
    const bytes = encodeFrame(frame);
    const headerBytes = bytes.readUInt32LE(0);
    const header = bytes.subarray(8, 8 + headerBytes).toString();
    const wrong = this.#child.random.pick([
      `{"more":1,${header.slice(1)}`,
      header.replace('"type":"', '"type":"un'),
      header.replace(/:(\d+)/, ':"$1"'),
      header.replace(/:(\d+)/, ":-1"),
    ]);
    const changed = wrong === header ? `{"more":1,${header.slice(1)}` : wrong;
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32LE(Buffer.byteLength(changed), 0);
    lengths.writeUInt32LE(bytes.readUInt32LE(4), 4);
    return Buffer.concat([lengths, Buffer.from(changed), bytes.subarray(8 + headerBytes)]);
  }
}

function sure(what: string): Lie {
  return { what, now: () => "sure" };
}

/** Where a flipped bit shows at once: in the lengths' upper bytes, or in the first character. */
function flipped(bytes: Buffer, where: number): Buffer {
  const at = [3, 7, 8][where] ?? 3;
  bytes[at] = (bytes[at] ?? 0) ^ 0x40;
  return bytes;
}
