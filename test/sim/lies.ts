/** What a child says that nobody may say: wrong bytes, and wrong words. */
import { encodeFrame } from "#src/frames/encode.js";
import type { ChildFrame } from "#src/frames/messages.js";
import type { ChildWorld, Lie } from "./child-world.js";
import type { FaultyChild } from "./faulty-child.js";
import type { LieKind } from "./plan.js";
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
  tell(kind: LieKind, frame: ChildFrame): void {
    // A frame that may come twice costs nothing: news are news.
    const isNews = frame.type === "run" || frame.type === "report";
    if (kind !== "frame-twice" || !isNews) this.#child.blame = kind;
    this.#ways[kind](frame);
  }

  readonly #ways: { readonly [Kind in LieKind]: (frame: ChildFrame) => void } = {
    torn: (frame) => {
      const child = this.#child;
      const bytes = encodeFrame(frame);
      if (child.voice.speaksBytes)
        child.voice.sayBytes(bytes.subarray(0, child.random.int(1, bytes.length - 1)), null);
      child.die("torn");
    },
    flipped: (frame) => this.#wrongBytes("flipped", () => this.#flipped(encodeFrame(frame))),
    garbage: () =>
      this.#wrongBytes("garbage", () => Buffer.alloc(this.#child.random.int(8, 40), 0xa5)),
    "field-wrong": (frame) => this.#wrongBytes("field-wrong", () => this.#wrongField(frame)),
    "channel-closed": () => this.#child.closeChannel(),
    "frame-twice": (frame) => {
      this.#child.voice.say(frame);
      this.#child.voice.say(frame, this.#twice(frame));
    },
    "outcome-unknown": (frame) => this.#behind(frame, () => this.#outcome(nobody)),
    "outcome-of-another": (frame) =>
      this.#behind(frame, () => {
        const { pipelineId } = this.#child.spec;
        this.#outcome(this.#world.heldElsewhere(pipelineId) ?? nobody);
      }),
    "outcome-after-end": (frame) =>
      this.#behind(frame, () => this.#outcome(this.#child.over.at(-1) ?? nobody)),
    "recalled-unasked": (frame) =>
      this.#behind(frame, () =>
        this.#child.voice.say({ type: "recalled", itemIds: [] }, this.#unasked()),
      ),
    "recalled-too-many": (frame) => {
      if (frame.type !== "recalled") this.#child.voice.say(frame);
      this.#tooMany(frame.type === "recalled" ? frame.itemIds : []);
    },
    "loaded-unasked": (frame) =>
      this.#behind(frame, () =>
        this.#child.voice.say(
          { type: "loaded", model: "?", loads: 2, modelBytes: 0, memoryBytes: 0, ms: 0 },
          this.#onceReady("loaded unasked"),
        ),
      ),
    "run-of-too-many": (frame) =>
      this.#behind(frame, () => {
        const begunItemIds = Array.from({ length: 10_000 }, (_, at) => nobody + at);
        const run = {
          type: "run",
          model: "?",
          stage: "encode",
          rows: 1,
          width: 1,
          predictedMs: 1,
        } as const;
        this.#child.voice.say({ ...run, begunItemIds, memoryBytes: 0 }, this.#onceReady("a run"));
      }),
  };

  #behind(frame: ChildFrame, lie: () => void): void {
    this.#child.voice.say(frame);
    lie();
  }

  /** Where frames are not bytes, what these would come to. */
  #wrongBytes(kind: LieKind, make: () => Buffer): void {
    if (this.#child.voice.speaksBytes) this.#child.voice.sayBytes(make(), sure(kind));
    else this.#child.voice.sayBroken(kind);
  }

  /** Where a flipped bit shows at once: in the lengths' upper bytes, or in the first character. */
  #flipped(bytes: Buffer): Buffer {
    const at = this.#child.random.pick([3, 7, 8]);
    bytes[at] = (bytes[at] ?? 0) ^ 0x40;
    return bytes;
  }

  /** What was recalled and one more, or one of it replaced: no more than was asked for. */
  #tooMany(itemIds: readonly number[]): void {
    const { random } = this.#child;
    const kept = random.chance(0.7) && itemIds.length > 1 ? itemIds.slice(1) : itemIds;
    const more = random.chance(0.7) ? [...kept, nobody] : [nobody, ...kept];
    this.#child.voice.say({ type: "recalled", itemIds: more }, sure("recalled-too-many"));
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
    return this.#child.saidHello ? sure(what) : null;
  }

  /** Where the item was given to this child meanwhile, a wrong outcome would be one that nobody can tell. */
  #outcome(itemId: number): void {
    const { pipelineId } = this.#child.spec;
    const value = answerTo({ values: { number: 0 }, tensors: {} });
    this.#child.voice.say(
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
