/** The prepare thread on its bad days: it dies, hangs, eats memory, and is asked for too much. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Worker } from "node:worker_threads";
import type { WorkClass } from "millrace-client/wire";
import { runBytes } from "#src/prepare/portion.js";
import type { PieceBudget, PrepareRequest } from "#src/prepare/prepare.js";
import { Preparer } from "#src/prepare/preparer.js";
import type { PrepareThreadOptions } from "#src/prepare/thread/prepare-thread.js";
import type { PreparedInput } from "#src/work/piece.js";
import { type FakeInput, fakeModel } from "../support/prepare-fake.js";

const noBudget: PieceBudget = { take() {} };
const never = (): AbortSignal => new AbortController().signal;

function open(options: Partial<PrepareThreadOptions> = {}): Preparer {
  const entry = new URL("../support/prepare-fake.js", import.meta.url);
  return new Preparer({
    models: new Map([
      ["fake", fakeModel],
      ["broken", fakeModel],
    ]),
    thread: { entry, data: "prepare-fake", ...options },
    inlineCharactersMax: -1,
  });
}

interface Wanted {
  readonly class?: WorkClass | (() => WorkClass);
  readonly tenant?: string;
  readonly budget?: PieceBudget;
  readonly model?: string;
}

function request(inputs: readonly FakeInput[], wanted: Wanted = {}): PrepareRequest {
  const { class: its = "realtime", tenant = "default", budget = noBudget, model = "fake" } = wanted;
  const workClass = typeof its === "function" ? its : () => its;
  return { model, inputs, settings: {}, class: workClass, tenant, budget };
}

/** Pieces of each input, by place, or the code of its error. */
function shape(prepared: readonly PreparedInput[]): (string | number[])[] {
  return prepared.map((input) =>
    input.ok
      ? input.pieces.map(({ payload }) => Number(payload.tensors["tokens"]?.data[1]))
      : input.error.code,
  );
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Sees each thread that starts. */
function onThreads(
  action: (worker: Worker, count: number) => void,
): { started: number } & Disposable {
  const onWorker = (worker: Worker): void => {
    seen.started += 1;
    action(worker, seen.started);
  };
  process.on("worker", onWorker);
  const seen = { started: 0, [Symbol.dispose]: () => void process.off("worker", onWorker) };
  return seen;
}

test("defect 3: pieces are counted while they are made, and making ends at the limit", async () => {
  await using preparer = open();
  let taken = 0;
  const budget: PieceBudget = {
    take(pieces, bytes) {
      assert.ok(pieces <= 512 && bytes === pieces * 100 + runBytes);
      if (taken + pieces > 2_000) throw new Error("queue full");
      taken += pieces;
    },
  };
  const work = preparer.prepare(request([{ pieces: 1e9 }], { budget }), never());
  await assert.rejects(work, /queue full/);
  assert.ok(taken > 0 && taken <= 2_000);
  const after = await preparer.prepare(request([{ pieces: 3 }]), never());
  assert.deepEqual(shape(after), [upTo(3)], "the thread works on nothing of it any more");
});

describe("defect 7: the deadline is there during prepare", () => {
  test("defect 7: a request that waits for the thread ends at once, and costs nothing further", async () => {
    await using preparer = open();
    const long = new AbortController();
    const first = preparer.prepare(request([{ pieces: 1e6, pieceMs: 1 }]), long.signal);
    const left = new AbortController();
    let taken = 0;
    const budget: PieceBudget = {
      take: () => {
        taken += 1;
      },
    };
    const waits = preparer.prepare(
      request([{ pieces: 10 }], { budget, class: "bulk" }),
      left.signal,
    );
    left.abort(new Error("the deadline"));
    await assert.rejects(waits, /the deadline/);
    long.abort();
    await assert.rejects(first, { name: "AbortError" });
    await preparer.prepare(request([{ pieces: 1 }]), never());
    assert.equal(taken, 0);
  });

  test("defect 7: a request ends at once though the thread hangs in a step of it", async () => {
    await using preparer = open({ portionMsMax: 300 });
    const begun = new AbortController();
    const budget: PieceBudget = { take: () => setImmediate(() => begun.abort(new Error("late"))) };
    const hangs = request([{ pieces: 1 }, { pieces: 2000, midway: "hang" }], { budget });
    await assert.rejects(preparer.prepare(hangs, begun.signal), /late/);
    // The watch ends the thread, and nobody is blamed for the request that is over.
    const after = await preparer.prepare(request([{ pieces: 2 }]), never());
    assert.deepEqual(shape(after), [upTo(2)]);
  });
});

describe("defect 8: who goes first in the thread", () => {
  test("defect 8: three hundred bulk pages delay a realtime work by a portion or two", async () => {
    await using preparer = open();
    const order: string[] = [];
    const counting = (name: string): PieceBudget => ({ take: () => void order.push(name) });
    const left = new AbortController();
    const pages = Array.from({ length: 300 }, () =>
      preparer.prepare(
        request([{ pieces: 2_000, pieceMs: 0.05 }], { class: "bulk", budget: counting("bulk") }),
        AbortSignal.any([left.signal]),
      ),
    );
    const ends = pages.map((page) => assert.rejects(page, { name: "AbortError" }));
    // Only once the thread is at work; then the sentence arrives.
    while (order.length < 3) await new Promise(setImmediate);
    const before = order.length;
    const sentence = request([{ pieces: 1 }], { budget: counting("sentence") });
    await preparer.prepare(sentence, never());
    const waited = order.indexOf("sentence") - before;
    assert.ok(waited <= 2, `it waited for ${waited} portions`);
    left.abort();
    await Promise.all(ends);
  });

  test("defect 8: a page that turns out to be bulk lets realtime go first from then on", async () => {
    await using preparer = open();
    const order: string[] = [];
    let pageClass: WorkClass = "realtime";
    const page = preparer.prepare(
      request([{ pieces: 5_000 }], {
        class: () => pageClass,
        budget: {
          take: () => {
            pageClass = "bulk";
            order.push("page");
          },
        },
      }),
      never(),
    );
    const other = preparer.prepare(
      request([{ pieces: 600, weight: 1e9 }], { budget: { take: () => void order.push("other") } }),
      never(),
    );
    await Promise.all([page, other]);
    assert.ok(order.indexOf("other") < order.lastIndexOf("page"));
    assert.ok(order.lastIndexOf("other") < order.length / 2, order.join(" "));
  });
});

test("what the thread gives is what was made, in its order, over many portions", async () => {
  await using preparer = open();
  const inputs = [
    { pieces: 1_300 },
    { pieces: 0 },
    { pieces: 4, midway: "throw" as const },
    { pieces: 2 },
  ];
  const prepared = await preparer.prepare(request(inputs), never());
  assert.deepEqual(shape(prepared), [upTo(1_300), [], "internal", upTo(2)]);
  assert.deepEqual(
    prepared.map((input) => input.ok && input.note),
    [{ index: 0 }, { index: 1 }, false, { index: 3 }],
  );
  const [first] = prepared;
  assert.ok(first?.ok);
  const piece = first.pieces[700];
  assert.deepEqual(piece?.payload, {
    values: { beams: 1 },
    tensors: { tokens: { type: "int32", shape: [3], data: Int32Array.of(0, 700, 0) } },
  });
  assert.deepEqual(piece.cost, { units: 3, width: 3, rows: 1, bytes: 100, batchKey: "" });
  assert.equal(piece.note, " ");
});

test("works of a thread that died go on where they were, and count no piece twice", async () => {
  await using preparer = open();
  using threads = onThreads((worker, count) => {
    let replies = 0;
    worker.on("message", () => {
      replies += 1;
      if (count === 1 && replies === 4) void worker.terminate();
    });
  });
  let taken = 0;
  const budget: PieceBudget = {
    take: (pieces) => {
      taken += pieces;
    },
  };
  const inputs = [{ pieces: 700 }, { pieces: 3_000 }, { pieces: 5 }];
  const works = [
    preparer.prepare(request(inputs, { budget }), never()),
    preparer.prepare(request(inputs), never()),
  ];
  for (const prepared of await Promise.all(works)) {
    assert.deepEqual(shape(prepared), [upTo(700), upTo(3_000), upTo(5)]);
  }
  assert.equal(taken, 3_705);
  assert.equal(threads.started, 2);
});

for (const midway of ["end the thread", "eat memory", "hang"] as const) {
  test(`an input that makes the thread ${midway} fails alone`, async () => {
    const memoryBytesMax = 64 * 1024 ** 2;
    await using preparer = open({ memoryBytesMax, portionMsMax: midway === "hang" ? 300 : 60_000 });
    const bomb = [{ pieces: 1 }, { pieces: 1 }, { pieces: 2, midway }, { pieces: 3 }];
    const [bad, good] = await Promise.all([
      preparer.prepare(request(bomb), never()),
      preparer.prepare(request([{ pieces: 2_000 }], { class: "bulk" }), never()),
    ]);
    assert.deepEqual(shape(bad), [upTo(1), upTo(1), "item_poison", upTo(3)]);
    assert.deepEqual(shape(good), [upTo(2_000)]);
  });
}

test("a request of nothing but bombs ends after a bounded number of threads", async () => {
  await using preparer = open();
  using threads = onThreads(() => {});
  const bombs = Array.from({ length: 100 }, () => ({
    pieces: 1,
    midway: "end the thread" as const,
  }));
  const work = preparer.prepare(request(bombs), never());
  await assert.rejects(work, { code: "item_poison" });
  assert.ok(threads.started <= 9, `${threads.started} threads`);
});

test("defect 17: a model that the thread cannot open fails its requests, not the thread", async () => {
  await using preparer = open();
  using threads = onThreads(() => {});
  const bad = preparer.prepare(request([{ pieces: 1 }], { model: "broken" }), never());
  await assert.rejects(bad, { code: "internal", message: /its file changed/ });
  const good = await preparer.prepare(request([{ pieces: 1 }]), never());
  assert.deepEqual(shape(good), [upTo(1)]);
  assert.equal(threads.started, 1);
});

test("a thread that cannot start says why, to all who wait", async () => {
  await using preparer = open({
    entry: new URL("data:text/javascript,throw new Error('no entry')"),
  });
  const works = [1, 2].map(() => preparer.prepare(request([{ pieces: 1 }]), never()));
  for (const work of works) {
    await assert.rejects(work, { code: "worker_lost", message: /no entry/ });
  }
});

test("closing fails what is in work and refuses what comes later", async () => {
  const preparer = open();
  const work = assert.rejects(preparer.prepare(request([{ pieces: 1e9 }]), never()), {
    code: "draining",
  });
  await preparer.close();
  await work;
  await assert.rejects(preparer.prepare(request([{ pieces: 1 }]), never()), { code: "draining" });
});
