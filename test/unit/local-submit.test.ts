/** The life of a request in LocalSubmit, with a pool, a prepare and a scheduler that do what the test says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { Prepare } from "#src/prepare/prepare.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import type { PoolPort } from "#src/submit/local/dispatcher.js";
import { LocalSubmit, type LocalSubmitOptions } from "#src/submit/local/local-submit.js";
import type { SubmitOutcome, SubmitRequest, SubmitSummary } from "#src/submit/submit.js";
import { hypothesesPayload } from "#src/work/generation.js";
import type { PoolEvent } from "#src/worker/events.js";
import type { LoadRequest } from "#src/worker/pipeline.js";
import { FifoScheduler } from "../support/fifo-scheduler.js";
import { fakeHosted, textOrCode } from "../support/local.js";
import { numbersTask, prepareAtOnce } from "../support/numbers-task.js";
import { until } from "../support/until.js";

/** Answers each item at once, with its own id as its only token; or keeps it. */
class FakePool implements PoolPort {
  answers = true;
  breaks = false;
  /** Rows of each load. */
  readonly loads: number[] = [];
  readonly #onEvent: (event: PoolEvent) => void;

  constructor(onEvent: (event: PoolEvent) => void) {
    this.#onEvent = onEvent;
  }

  start(): void {
    const spec = { kind: "shared", modelMemoryBytesMax: 1_000 } as const;
    this.emit({ type: "up", pipelineId: "p0", ...spec });
  }

  load(pipelineId: string, { model, rowsMax }: LoadRequest): void {
    if (this.breaks) throw new Error("a pool that is not there");
    this.loads.push(rowsMax);
    this.emit({ type: "loaded", pipelineId, model, bytes: 1, ms: 1 });
  }

  dispatch(pipelineId: string, { items }: { readonly items: readonly { itemId: number }[] }): void {
    if (!this.answers) return;
    for (const { itemId } of items) {
      const value = hypothesesPayload([{ tokenIds: [itemId], score: -1 }]);
      const outcome = { itemId, ok: true, value } as const;
      setImmediate(() => this.emit({ type: "outcome", pipelineId, itemId, outcome, attempt: 1 }));
    }
  }

  unload(): void {}
  cancel(): void {}
  recall(): void {}
  forget(): void {}

  stop(): Promise<void> {
    return Promise.resolve();
  }

  emit(event: PoolEvent): void {
    this.#onEvent(event);
  }
}

function build(more: Partial<LocalSubmitOptions> = {}): { local: LocalSubmit; pool: FakePool } {
  const { task, model: taskModel } = numbersTask();
  let pool: FakePool | undefined;
  const models = more.models ?? new Map([["fake", { ...fakeHosted(), task, taskModel }]]);
  const local = new LocalSubmit({
    tasks: new Map([...models.values()].map((model) => [model.task.name, model.task])),
    models,
    prepare: prepareAtOnce(taskModel),
    scheduler: new FifoScheduler(),
    makePool: (onEvent) => {
      pool = new FakePool(onEvent);
      return pool;
    },
    limits: { queuedItemsMax: 4, queuedBytesMax: 1_000, requestInputsMax: 100 },
    bulkThreshold: 256,
    ...more,
  });
  local.start();
  assert.ok(pool !== undefined);
  return { local, pool };
}

function requestOf(texts: readonly string[]): SubmitRequest {
  return {
    id: "r",
    task: "numbers",
    model: null,
    fields: { texts },
    class: null,
    tenant: "default",
    deadlineAtMs: null,
    payloadBytes: 10,
  };
}

async function submit(
  local: LocalSubmit,
  texts: readonly string[],
  more: Partial<SubmitRequest> & { readonly signal?: AbortSignal } = {},
): Promise<{ outcomes: SubmitOutcome[]; summary: SubmitSummary; accepted: number }> {
  const { signal = new AbortController().signal, ...fields } = more;
  const outcomes: SubmitOutcome[] = [];
  let accepted = 0;
  const summary = await local.submit({ ...requestOf(texts), ...fields }, signal, {
    onAccepted: () => {
      accepted += 1;
      assert.equal(outcomes.length, 0, "accepted before any outcome");
    },
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  return { outcomes, summary, accepted };
}

/** Prepares nothing until it is aborted, and says whether it was. */
/** Timer after timer, with all that comes of one done before the next: until it has ended. */
async function passingTime<Result>(clock: VirtualClock, ending: Promise<Result>): Promise<Result> {
  let hasEnded = false;
  const ended = ending.finally(() => {
    hasEnded = true;
  });
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    if (hasEnded) return await ended;
    clock.advance();
  }
}

class StuckPrepare implements Prepare {
  aborted: unknown = null;

  prepare(_request: object, signal: AbortSignal): Promise<never> {
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        this.aborted = signal.reason;
        reject(signal.reason as Error);
      });
    });
  }
}

test("a pipeline is told the model's rows with each load", () => {
  const { task, model: taskModel } = numbersTask();
  const models = new Map([["fake", { ...fakeHosted("", 48), task, taskModel }]]);
  assert.deepEqual(build({ models }).pool.loads, [48]);
});

test("a request is accepted once, before its outcomes, and leaves nothing behind", async () => {
  const { local } = build();
  const { outcomes, summary, accepted } = await submit(local, ["1. 2.", "bad", ""]);
  assert.equal(accepted, 1);
  assert.deepEqual(outcomes.toSorted((a, b) => a.index - b.index).map(textOrCode), [
    "1 2",
    "input_too_long",
    "",
  ]);
  assert.equal(summary.inputs, 3);
  assert.equal(summary.task, "numbers");
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
});

test("those that had no other beside them, from arrival to end, are counted", async () => {
  const { local } = build();
  await submit(local, ["1"]);
  await submit(local, ["2"]);
  assert.equal(local.counts.requests.alone, 2);
  await Promise.all([submit(local, ["3"]), submit(local, ["4"])]);
  assert.deepEqual([local.counts.requests.alone, local.counts.requests.finished], [2, 4]);
  await submit(local, ["5"]);
  assert.equal(local.counts.requests.alone, 3);
});

test("attack: items that miss a deadline together share one error, for each would walk the stack", async () => {
  const limits = { queuedItemsMax: 500, queuedBytesMax: 100_000, requestInputsMax: 500 };
  const texts = Array.from({ length: 500 }, () => "1.");
  for (const more of [{}, { prepare: new StuckPrepare() }]) {
    const clock = new VirtualClock();
    const { local, pool } = build({ limits, clock, ...more });
    pool.answers = false;
    const submitted = submit(local, texts, { deadlineAtMs: 20 });
    const { outcomes } = await passingTime(clock, submitted);
    assert.deepEqual(new Set(outcomes.map(textOrCode)), new Set(["deadline_exceeded"]));
    const errors = outcomes.map(({ outcome }) => ("error" in outcome ? outcome.error : null));
    assert.equal(new Set(errors).size, 1);
  }
});

test("attack: inputs that hold more than their body took are counted as what they hold", async () => {
  const { task, model: taskModel } = numbersTask();
  const heavy = {
    ...task,
    read: (fields: object) => ({
      ...task.read({ ...fields }, { requestInputsMax: 9 }),
      bytes: 700,
    }),
  };
  const { local, pool } = build({
    models: new Map([["fake", { ...fakeHosted(), task: heavy, taskModel }]]),
  });
  pool.answers = false;
  const leaving = new AbortController();
  const first = submit(local, ["1."], { signal: leaving.signal });
  await assert.rejects(submit(local, ["1."]), { code: "queue_full" });
  assert.ok(local.held.bytes >= 700);
  leaving.abort();
  await assert.rejects(first, { code: "cancelled" });
  assert.equal(local.held.bytes, 0);
});

test("defect 7: the deadline is kept while the request is being prepared", async () => {
  const prepare = new StuckPrepare();
  const clock = new VirtualClock();
  const { local } = build({ prepare, clock });
  const submitted = submit(local, ["1.", "2."], { deadlineAtMs: 20 });
  const { outcomes, accepted } = await passingTime(clock, submitted);
  assert.deepEqual(outcomes.map(textOrCode), ["deadline_exceeded", "deadline_exceeded"]);
  assert.equal(accepted, 1);
  assert.ok(prepare.aborted instanceof MillraceError, "what was under way was called off");
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
});

test("defect 7: a request that comes too late is not prepared at all", async () => {
  const prepare: Prepare = { prepare: () => assert.fail("prepared") };
  const { local } = build({ prepare });
  const { outcomes } = await submit(local, ["1."], { deadlineAtMs: performance.now() - 1 });
  assert.deepEqual(outcomes.map(textOrCode), ["deadline_exceeded"]);
});

test("a callback that throws while its request is prepared for long ends that request, and nothing else", async () => {
  const clock = new VirtualClock();
  const prepare = new StuckPrepare();
  const { local } = build({ prepare, clock });
  const thrown = new Error("the caller's own");
  const done = local.submit(requestOf(["1."]), new AbortController().signal, {
    onAccepted: () => {
      throw thrown;
    },
    onOutcome: () => assert.fail("an outcome"),
  });
  const ended = assert.rejects(done, thrown);
  while (clock.advance());
  await ended;
  assert.equal(prepare.aborted, thrown, "what was under way was called off");
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
});

test("defect 11: a request that is prepared for long is accepted before that is over, once", async () => {
  const clock = new VirtualClock();
  let prepared: () => void = () => {};
  const { model } = numbersTask();
  const prepare: Prepare = {
    prepare: async (request, signal) => {
      await new Promise<void>((resolve) => {
        prepared = resolve;
      });
      return await prepareAtOnce(model).prepare(request, signal);
    },
  };
  const time = {
    now: () => clock.nowMs,
    after: (delayMs: number, action: () => void) => clock.after(delayMs, action),
  };
  const { local } = build({ prepare, clock: time });
  let accepted = 0;
  const done = local.submit(requestOf(["1."]), new AbortController().signal, {
    onAccepted: () => (accepted += 1),
    onOutcome: () => {},
  });
  assert.equal(accepted, 0);
  while (clock.advance());
  assert.ok(clock.nowMs >= 10_000);
  assert.equal(accepted, 1, "the caller hears something");
  prepared();
  await done;
  assert.equal(accepted, 1);
});

test("a caller who leaves while the request is being prepared ends it", async () => {
  const prepare = new StuckPrepare();
  const { local } = build({ prepare });
  const caller = new AbortController();
  const left = submit(local, ["1."], { signal: caller.signal });
  caller.abort();
  await assert.rejects(left, { code: "cancelled" });
  assert.ok(prepare.aborted !== null);
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  assert.equal(local.counts.requests.cancelled, 1);
});

test("defect 9: what can never fit is refused for good, what may fit later is not", async () => {
  const { local, pool } = build();
  const never = async (texts: readonly string[], code: string, payloadBytes = 10): Promise<void> =>
    await assert.rejects(submit(local, texts, { payloadBytes }), { code, retryable: false });
  await never(["1.", "2.", "3.", "4.", "5."], "too_many_items");
  await never(["1. 2. 3. 4. 5."], "too_many_items");
  await never(["1."], "body_too_large", 1_001);
  // The body fits, and what its pieces hold beside it does not.
  await never(["1. 2."], "body_too_large", 990);
  pool.answers = false;
  const leaving = new AbortController();
  const held = submit(local, ["1. 2."], { signal: leaving.signal });
  for (const [texts, payloadBytes] of [
    [["3. 4. 5."], 10],
    [["3."], 990],
  ] as const) {
    await assert.rejects(submit(local, texts, { payloadBytes }), (error: MillraceError) => {
      assert.equal(error.code, "queue_full");
      assert.ok((error.retryAfterMs ?? 0) > 0);
      return true;
    });
  }
  assert.deepEqual(local.held, { requests: 1, items: 2, bytes: 26 });
  leaving.abort();
  await assert.rejects(held, { code: "cancelled" });
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  assert.equal(local.counts.requests.refused, 6);
});

test("defect 3: pieces are counted while they are made, and making them ends at the limit", async () => {
  let made = 0;
  const { task, model } = numbersTask();
  const taskModel = {
    ...model,
    *steps(input: unknown, at: Parameters<typeof model.steps>[1]) {
      for (const step of model.steps(input, at)) {
        if (step.kind === "piece") made += 1;
        yield step;
      }
    },
  };
  const { local } = build({
    models: new Map([["fake", { ...fakeHosted(), task, taskModel }]]),
    prepare: prepareAtOnce(taskModel),
  });
  await assert.rejects(submit(local, ["1. ".repeat(100_000)]), { code: "too_many_items" });
  assert.equal(made, 5, "the first that is too many, and no further one");
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
});

for (const broken of ["scheduler", "pool"] as const) {
  test(`defect 26: a ${broken} that breaks its promise fails all with internal, and is never entered again`, async () => {
    const scheduler = new FifoScheduler();
    let steps = 0;
    let breaks = false;
    const errors: unknown[] = [];
    const { local, pool } = build({
      onBroken: (error) => errors.push(error),
      scheduler: {
        leastWaitMs: () => 0,
        step(event, nowMs) {
          steps += 1;
          if (breaks && broken === "scheduler") throw new Error("a queue that lies");
          return scheduler.step(event, nowMs);
        },
      },
    });
    pool.answers = false;
    const waiting = submit(local, ["1. 2."]);
    const refused = assert.rejects(waiting, { code: "internal" });
    await new Promise((resolve) => setImmediate(resolve));
    breaks = true;
    pool.breaks = broken === "pool";
    const spec = { kind: "shared", modelMemoryBytesMax: 1_000 } as const;
    pool.emit({ type: "up", pipelineId: "p1", ...spec });
    await refused;
    assert.equal(errors.length, 1);
    const before = steps;
    await assert.rejects(submit(local, ["3."]), { code: "internal" });
    pool.emit({ type: "down", pipelineId: "p0", reason: "again", loading: null });
    assert.equal(steps, before, "the broken scheduler is not asked again");
    assert.equal(errors.length, 1);
    await local.stop({ drainMs: 1_000 });
    assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  });
}

test("an answer that the task cannot use fails its item, and the next one is served", async () => {
  const { local, pool } = build();
  pool.answers = false;
  const bad = submit(local, ["1."]);
  await new Promise((resolve) => setImmediate(resolve));
  const value = hypothesesPayload([]);
  const outcome = { itemId: 1, ok: true, value } as const;
  pool.emit({ type: "outcome", pipelineId: "p0", itemId: 1, outcome, attempt: 1 });
  assert.deepEqual((await bad).outcomes.map(textOrCode), ["item_failed"]);
  assert.equal(local.counts.items.failed, 1);
  pool.answers = true;
  assert.deepEqual((await submit(local, ["1."])).outcomes.map(textOrCode), ["2"]);
});

test("a field that the task does not know, and a task that nobody serves, are refused", async () => {
  const { local } = build();
  await assert.rejects(submit(local, [], { fields: { texts: ["1."], baems: 2 } }), {
    code: "bad_request",
    param: "baems",
  });
  await assert.rejects(submit(local, ["1."], { task: "fly" }), { code: "not_found" });
  await assert.rejects(submit(local, ["1."], { model: "other" }), { code: "model_not_found" });
});

test("attack: a page of many sentences is queued in slices, and others have their turn between them", async () => {
  const scheduler = new FifoScheduler();
  const queued: number[] = [];
  const { local, pool } = build({
    sliceItemsMax: 100,
    limits: { queuedItemsMax: 10_000, queuedBytesMax: 1_000_000, requestInputsMax: 100 },
    scheduler: {
      leastWaitMs: () => 0,
      step(event, nowMs) {
        if (event.type === "request") queued.push(event.request.items.length);
        return scheduler.step(event, nowMs);
      },
    },
  });
  pool.answers = false;
  const caller = new AbortController();
  const page = submit(local, ["1. ".repeat(950)], { signal: caller.signal });
  await new Promise((resolve) => setImmediate(resolve));
  const all = (): number => queued.reduce((sum, items) => sum + items, 0);
  assert.ok(all() < 950, "some slices, and the event loop goes on");
  const other = submit(local, ["2."], { signal: caller.signal });
  await until(() => all() === 951);
  assert.ok(queued.every((items) => items <= 100));
  assert.notEqual(queued.at(-1), 1, "a sentence that came later does not wait for the page");
  caller.abort();
  for (const left of [page, other]) await assert.rejects(left, { code: "cancelled" });
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  const { accepted, cancelled } = local.counts.items;
  assert.deepEqual([accepted, cancelled], [951, 951]);
  await local.stop({ drainMs: 0 });
});

test("attack: one page that fills the queue shuts out no sentence; small requests may go a hundredth above", async () => {
  const { local, pool } = build({
    limits: { queuedItemsMax: 1_000, queuedBytesMax: 1_000_000, requestInputsMax: 100 },
  });
  pool.answers = false;
  const caller = new AbortController();
  const { signal } = caller;
  const taken = [submit(local, ["1. ".repeat(1_000)], { signal })];
  await until(() => local.held.items === 1_000);
  await assert.rejects(submit(local, ["1. ".repeat(17)]), { code: "queue_full" });
  await assert.rejects(submit(local, ["1. ".repeat(11)]), { code: "queue_full" });
  for (let place = 0; place < 10; place += 1) taken.push(submit(local, ["2."], { signal }));
  await assert.rejects(submit(local, ["3."]), { code: "queue_full" });
  assert.equal(local.held.items, 1_010);
  caller.abort();
  for (const left of taken) await assert.rejects(left, { code: "cancelled" });
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  await local.stop({ drainMs: 0 });
});

test("attack: answers that are larger than anybody knew are counted while their request lasts, and others wait", async () => {
  const { task, model } = numbersTask();
  const taskModel = { ...model, furtherBytes: () => 990 };
  const { local } = build({ models: new Map([["fake", { ...fakeHosted(), task, taskModel }]]) });
  const refused: Promise<void>[] = [];
  const held: number[] = [];
  await local.submit(requestOf(["1.", "2."]), new AbortController().signal, {
    onOutcome: () => {
      held.push(local.held.bytes);
      refused.push(assert.rejects(submit(local, ["3."]), { code: "queue_full" }));
    },
  });
  assert.deepEqual(held, [10 + 16 + 990, 10 + 16 + 2 * 990]);
  await Promise.all(refused);
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  await submit(local, ["3."]);
  await local.stop({ drainMs: 0 });
});

test("attack: what is foreseen of a page takes no place; what is reserved does, and is given back", async () => {
  const limits = { queuedItemsMax: 1_000, queuedBytesMax: 1_000_000, requestInputsMax: 100 };
  const { task, model } = numbersTask();
  const held: number[] = [];
  let goOn = (): void => {};
  const { local } = build({
    models: new Map([["fake", { ...fakeHosted(), task, taskModel: model }]]),
    prepare: {
      async prepare(request, signal) {
        const [least = 0] = request.inputs.map((input) => String(input).length / 3);
        request.budget.foresee(least);
        held.push(local.held.items);
        assert.equal(request.class(), least < 256 ? "realtime" : "bulk");
        request.budget.reserve(least);
        held.push(local.held.items);
        await new Promise<void>((resolve) => (goOn = resolve));
        return await prepareAtOnce(model).prepare(request, signal);
      },
    },
    limits,
  });
  await assert.rejects(submit(local, ["1. ".repeat(1_001)]), { code: "too_many_items" });
  const page = submit(local, ["1. ".repeat(600)]);
  assert.deepEqual(held, [1, 600]);
  await assert.rejects(submit(local, ["1. ".repeat(500)]), {
    code: "queue_full",
    retryAfterMs: 1_000,
  });
  assert.equal(local.held.items, 600);
  goOn();
  await page;
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  await local.stop({ drainMs: 0 });
});

test("attack: a sentence let in above the bound does not end the page that is being prepared", async () => {
  const limits = { queuedItemsMax: 1_000, queuedBytesMax: 1_000_000, requestInputsMax: 1_000 };
  const { task, model } = numbersTask();
  let goOn: (() => void) | null = null;
  const { local } = build({
    models: new Map([["fake", { ...fakeHosted(), task, taskModel: model }]]),
    prepare: {
      async prepare(request, signal) {
        if (request.inputs.length > 1) await new Promise<void>((resolve) => (goOn = resolve));
        return await prepareAtOnce(model).prepare(request, signal);
      },
    },
    limits,
  });
  const page = submit(
    local,
    Array.from({ length: 1_000 }, () => "1."),
  );
  assert.equal(local.held.items, 1_000);
  const sentence = submit(local, ["2."]);
  assert.equal(local.held.items, 1_001);
  (goOn as (() => void) | null)?.();
  await Promise.all([page, sentence]);
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  await local.stop({ drainMs: 0 });
});

test("attack: what is not queued yet keeps its deadline too", async () => {
  const clock = new VirtualClock();
  const { local, pool } = build({ sliceItemsMax: 1, clock });
  pool.answers = false;
  const done = submit(local, ["1. 2. 3. 4."], { deadlineAtMs: 5 });
  // The page is prepared in microtasks; its slices come with the clock.
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  while (clock.advance()) await Promise.resolve();
  const { outcomes } = await done;
  assert.deepEqual(outcomes.map(textOrCode), ["deadline_exceeded"]);
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
});
