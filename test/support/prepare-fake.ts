/** A task's model that prepares made things: for the preparer and its thread, on both sides of the message port. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import type { ModelSteps } from "#src/prepare/model-steps.js";
import { servePrepareThread } from "#src/prepare/thread/serve-thread.js";
import { int32List } from "#src/work/payload.js";
import type { Piece, PrepareStep } from "#src/work/piece.js";

export interface FakeInput {
  readonly pieces: number;
  /** Of each piece; the thread does nothing else meanwhile. */
  readonly pieceMs?: number;
  /** What happens after half of the pieces. */
  readonly midway?: "throw" | "eat memory" | "hang" | "end the thread";
  readonly weight?: number;
  /** What is counted of it before it is made. Default: nothing. */
  readonly least?: number;
}

function fakePiece(index: number, place: number): Piece {
  const tokens = [index, place, 0];
  return {
    payload: { values: { beams: 1 }, tensors: { tokens: int32List(tokens) } },
    cost: { units: 3, width: 3, rows: 1, bytes: 100, batchKey: "" },
    note: " ",
  };
}

export const fakeModel: ModelSteps = {
  weigh: (input) => (input as FakeInput).weight ?? (input as FakeInput).pieces,
  *leastPieces(input): Generator<number> {
    const { least = 0 } = input as FakeInput;
    for (let count = 0; count < least; count += 1) yield 1;
  },
  *steps(input, { index }): Generator<PrepareStep> {
    const { pieces, pieceMs = 0, midway } = input as FakeInput;
    for (let place = 0; place < pieces; place += 1) {
      const endsAt = performance.now() + pieceMs;
      while (performance.now() < endsAt);
      if (place === Math.floor(pieces / 2)) happen(midway);
      yield { kind: "piece", piece: fakePiece(index, place) };
    }
    yield { kind: "end", note: { index } };
  },
};

function happen(what: FakeInput["midway"]): void {
  switch (what) {
    case "throw":
      throw new Error("the tokenizer choked");
    case "eat memory": {
      const held: number[][] = [];
      for (;;) held.push(Array.from({ length: 10_000 }, (_, index) => index + held.length));
    }
    case "hang":
      for (;;);
    case "end the thread":
      if (!isMainThread) process.exit(1);
      return;
    case undefined:
      return;
  }
}

if (parentPort !== null && workerData === "prepare-fake") {
  servePrepareThread(parentPort, async (data) => {
    if (data === "broken") throw new Error("its file changed");
    if (data === "endless") for (;;);
    if (data === "deadly") process.exit(1);
    return await Promise.resolve(fakeModel);
  });
}
