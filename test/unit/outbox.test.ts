import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { FrameDecoder } from "#src/frames/codec.js";
import type { ParentFrame } from "#src/frames/messages.js";
import { parseParentFrame } from "#src/frames/shapes.js";
import { Outbox, waitingBytesMax } from "#src/worker/outbox.js";

/** A socket whose other end reads one chunk each time that it is told. */
class SlowSocket extends Writable {
  readonly frames: ParentFrame[] = [];
  readonly #decoder = new FrameDecoder(parseParentFrame);
  #taken: (() => void) | null = null;

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.frames.push(...this.#decoder.push(chunk));
    this.#taken = done;
  }

  /** False: nothing waited. */
  take(): boolean {
    const taken = this.#taken;
    this.#taken = null;
    taken?.();
    return taken !== null;
  }
}

const maximal = { type: "int32", shape: [512], data: new Int32Array(512).fill(7) } as const;

function batchOf(batchId: number, count: number): Extract<ParentFrame, { type: "batch" }> {
  const items = Array.from({ length: count }, (_, at) => ({
    itemId: batchId * 100_000 + at,
    payload: { values: {}, tensors: { tokens: maximal } },
  }));
  return { type: "batch", batchId, model: "m", class: "bulk", items };
}

test("defect 2: what waits for a child that does not read is bounded in bytes, whatever was sent", async () => {
  const socket = new SlowSocket();
  const outbox = new Outbox(socket, () => assert.fail("nothing is too large"));
  // 12,288 items of 512 tokens: 24 MiB, as --rows-max 4096 --prefetch-rows 4096 allow.
  const batches = [1, 2, 3].map((batchId) => batchOf(batchId, 4_096));
  for (const batch of batches) outbox.send(batch);
  outbox.send({ type: "cancel", itemIds: [100_000] });
  outbox.send({ type: "recall", itemIds: [100_000] });
  let most = 0;
  do {
    most = Math.max(most, socket.writableLength);
    await new Promise((resolve) => setImmediate(resolve));
  } while (socket.take());
  assert.ok(most < waitingBytesMax + 6 * 1024 * 1024, `${most} bytes waited`);
  const itemIds = socket.frames.flatMap((frame) =>
    frame.type === "batch" ? frame.items.map(({ itemId }) => itemId) : [],
  );
  assert.deepEqual(
    itemIds,
    batches.flatMap(({ items }) => items.map(({ itemId }) => itemId)),
  );
  assert.deepEqual(
    socket.frames.slice(-2).map(({ type }) => type),
    ["cancel", "recall"],
  );
});

test("defect: requests of one callback took a system call each", async () => {
  const calls: number[] = [];
  const socket = new Writable({
    writev: (chunks, done) => {
      calls.push(chunks.length);
      done();
    },
  });
  const outbox = new Outbox(socket, () => assert.fail("nothing is too large"));
  for (const batchId of [1, 2, 3]) outbox.send(batchOf(batchId, 1));
  await new Promise((resolve) => setImmediate(resolve));
  outbox.send({ type: "cancel", itemIds: [100_000] });
  outbox.send({ type: "recall", itemIds: [100_000] });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(calls, [3, 2]);
});

test("an item too large is named, its neighbours are sent", async () => {
  const socket = new SlowSocket();
  const tooLarge: number[] = [];
  const outbox = new Outbox(socket, ({ itemId }) => tooLarge.push(itemId));
  const [good] = batchOf(1, 1).items;
  assert.ok(good !== undefined);
  const bad = {
    itemId: 7,
    payload: { values: { text: "x".repeat(2 * 1024 * 1024) }, tensors: {} },
  };
  outbox.send({ type: "batch", batchId: 1, model: "m", class: "bulk", items: [bad, good] });
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(tooLarge, [7]);
  assert.deepEqual(socket.frames, [{ ...batchOf(1, 1), items: [good] }]);
});

test("for a socket that is closed nothing is kept", () => {
  const socket = new SlowSocket();
  const outbox = new Outbox(socket, () => {});
  for (let batchId = 1; batchId < 5; batchId += 1) outbox.send(batchOf(batchId, 4_096));
  outbox.close();
  socket.destroy();
  outbox.send({ type: "stop" });
  assert.ok(!socket.frames.some(({ type }) => type === "stop"));
});
