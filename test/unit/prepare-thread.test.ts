/** The prepare thread on its bad days: it dies, hangs, eats memory, and is asked for too much. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Worker } from "node:worker_threads";
import type { WorkClass } from "millrace-client/wire";
import { runBytes } from "#src/prepare/portion.js";
import type { PieceBudget, PrepareRequest } from "#src/prepare/prepare.js";
import { Preparer, type PreparerOptions } from "#src/prepare/preparer.js";
import type { PrepareThreadOptions } from "#src/prepare/thread/prepare-thread.js";
import { type Clock, systemClock } from "#src/work/clock.js";
import type { PreparedInput } from "#src/work/piece.js";
import { type FakeInput, fakeModel } from "../support/prepare-fake.js";

const noBudget: PieceBudget = { foresee() {}, reserve() {}, take() {} };
const never = (): AbortSignal => new AbortController().signal;

function open(
  options: Partial<PrepareThreadOptions> = {},
  preparer: Pick<PreparerOptions, "clock" | "inlineCharactersMax" | "onNotOpened"> = {},
): Preparer {
  const entry = new URL("../support/prepare-fake.js", import.meta.url);
  return new Preparer({
    models: new Map([...opens.keys()].map((name) => [name, fakeModel])),
    thread: { entry, data: "prepare-fake", models: opens, ...options },
    inlineCharactersMax: -1,
    ...preparer,
  });
}

/** What the thread opens each from. */
const opens: ReadonlyMap<string, string> = new Map([
  ["fake", "fake"],
  ["broken", "broken"],
  ["endless", "endless"],
  ["deadly", "deadly"],
]);

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
    ...noBudget,
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
      ...noBudget,
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
    const budget: PieceBudget = {
      ...noBudget,
      take: () => setImmediate(() => begun.abort(new Error("late"))),
    };
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
    const counting = (name: string): PieceBudget => ({
      ...noBudget,
      take: () => void order.push(name),
    });
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
          ...noBudget,
          take: () => {
            pageClass = "bulk";
            order.push("page");
          },
        },
      }),
      never(),
    );
    const other = preparer.prepare(
      request([{ pieces: 600, weight: 1e9 }], {
        budget: { ...noBudget, take: () => void order.push("other") },
      }),
      never(),
    );
    await Promise.all([page, other]);
    assert.ok(order.indexOf("other") < order.lastIndexOf("page"));
    assert.ok(order.lastIndexOf("other") < order.length / 2, order.join(" "));
  });
});

describe("a heavy work is counted before it is made", () => {
  const heavy = 100_000;

  test("attack: a page that never fits is refused when so much of it is counted, and nothing of it is made", async () => {
    await using preparer = open();
    let foreseen = 0;
    const budget: PieceBudget = {
      foresee(pieces) {
        foreseen = pieces;
        if (pieces > 50_000) throw new Error("never");
      },
      reserve: () => assert.fail("reserved"),
      take: () => assert.fail("made"),
    };
    const page = request([{ pieces: 1, least: 1e9, weight: 3 * heavy }], { budget });
    await assert.rejects(preparer.prepare(page, never()), /never/);
    assert.ok(foreseen > 50_000);
    const after = await preparer.prepare(request([{ pieces: 3 }]), never());
    assert.deepEqual(shape(after), [upTo(3)], "the thread works on nothing of it any more");
  });

  test("its room is taken once, when all of it is counted, and before any of it is made", async () => {
    await using preparer = open();
    const told: string[] = [];
    const budget: PieceBudget = {
      foresee: (pieces) => void told.push(`foresee ${pieces}`),
      reserve: (pieces) => void told.push(`reserve ${pieces}`),
      take: () => void told.push("take"),
    };
    // One message for each: they are counted one after the other.
    const inputs = [10, 0, 30].map((pieces) => ({ pieces, least: pieces, weight: heavy }));
    const prepared = await preparer.prepare(request(inputs, { budget }), never());
    assert.deepEqual(shape(prepared), [upTo(10), [], upTo(30)]);
    const counting = ["foresee 10", "foresee 10", "foresee 40", "reserve 40"];
    assert.deepEqual(told.slice(0, 4), counting);
    assert.deepEqual(new Set(told.slice(4)), new Set(["take"]));
  });

  test("where there is no room for it nothing is made; a light one is not counted at all", async () => {
    await using preparer = open();
    const budget: PieceBudget = {
      ...noBudget,
      reserve: () => {
        throw new Error("queue full");
      },
    };
    const page = [{ pieces: 10, least: 10, weight: 3 * heavy }];
    await assert.rejects(preparer.prepare(request(page, { budget }), never()), /queue full/);
    const light = request([{ pieces: 10, least: 10, weight: heavy }], { budget });
    assert.deepEqual(shape(await preparer.prepare(light, never())), [upTo(10)]);
  });

  test("a thread that dies while it counts has counted nothing; the work goes on", async () => {
    await using preparer = open();
    using threads = onThreads((worker, count) => {
      let replies = 0;
      worker.on("message", () => {
        replies += 1;
        if (count === 1 && replies === 2) void worker.terminate();
      });
    });
    const budget: PieceBudget = { ...noBudget, reserve: () => assert.fail("of what was lost") };
    const page = request([{ pieces: 20, least: 1e8, weight: 3 * heavy }], { budget });
    assert.deepEqual(shape(await preparer.prepare(page, never())), [upTo(20)]);
    assert.equal(threads.started, 2);
  });

  test("attack: it rests after each portion while light requests come, and only then", async () => {
    /** What ends the rest, where it rests. */
    const rests: (() => void)[] = [];
    const clock: Clock = {
      now: () => systemClock.now(),
      after(delayMs, action, kind) {
        // The watch of a portion takes ten seconds.
        if (delayMs > 1_000) return systemClock.after(delayMs, action, kind);
        rests.push(action);
        return () => {};
      },
    };
    await using preparer = open({}, { clock, inlineCharactersMax: 100 });
    const light = (weight: number): Promise<PreparedInput[]> =>
      preparer.prepare(request([{ pieces: 1, weight }]), never());
    let [taken, isDone] = [0, false];
    const budget: PieceBudget = { ...noBudget, take: () => void (taken += 1) };
    const page = async (): Promise<void> => {
      await preparer.prepare(request([{ pieces: 2_000, weight: 3 * heavy }], { budget }), never());
      isDone = true;
    };
    await page();
    assert.equal(rests.length, 0, "nobody else came");

    await light(1);
    [taken, isDone] = [0, false];
    const rested = page();
    let count = 0;
    while (!isDone) {
      while (!isDone && rests.length === 0) await new Promise(setImmediate);
      const before = taken;
      // Who is lighter does not wait for the end of the rest, in the thread nor on the loop.
      for (const weight of [1, heavy]) assert.deepEqual(shape(await light(weight)), [upTo(1)]);
      assert.equal(taken, before);
      count += rests.length;
      rests.shift()?.();
    }
    await rested;
    assert.ok(count >= 4, `2,000 pieces are four portions or more; it rested ${count} times`);
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
    ...noBudget,
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

/** See docs/platforms.md#node. */
const endsProcess = Number(process.versions.node.split(".")[0]) >= 24;

for (const midway of ["end the thread", "eat memory", "hang"] as const) {
  test(`an input that makes the thread ${midway} fails alone`, {
    skip: midway === "eat memory" && endsProcess && "this Node ends the process with the thread",
  }, async () => {
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

test("defect 17: what the thread cannot open is prepared beside it, and the thread serves others", async () => {
  const notOpened: string[] = [];
  await using preparer = open({}, { onNotOpened: (...what) => notOpened.push(what.join(": ")) });
  using threads = onThreads(() => {});
  const inputs = [{ pieces: 1 }, { pieces: 200 }];
  const beside = await preparer.prepare(request(inputs, { model: "broken" }), never());
  assert.deepEqual(shape(beside), [upTo(1), upTo(200)]);
  assert.deepEqual(notOpened, ["broken: its file changed"]);
  const good = await preparer.prepare(request([{ pieces: 1 }]), never());
  assert.deepEqual(shape(good), [upTo(1)]);
  assert.equal(threads.started, 1);
});

for (const [model, why] of [
  ["endless", "opening the model took more than 300 ms"],
  ["deadly", "it ended by itself"],
] as const) {
  test(`attack: a thread that ends while it opens a model (${model}): its work is done beside it, and no input is blamed`, async () => {
    const notOpened: string[] = [];
    const onNotOpened = (...what: string[]): void => void notOpened.push(what.join(": "));
    await using preparer = open({ openMsMax: 300 }, { onNotOpened });
    const both = await Promise.all([
      preparer.prepare(request([{ pieces: 3 }], { model }), never()),
      preparer.prepare(request([{ pieces: 2 }]), never()),
    ]);
    assert.deepEqual(both.map(shape), [[upTo(3)], [upTo(2)]]);
    assert.deepEqual(notOpened, [`${model}: ${why}`]);
  });
}

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
