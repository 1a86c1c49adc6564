/** The engines of one process beside each other: none of them holds the process while it has nothing to run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WorkClass } from "millrace-client/wire";
import type { ChildFrame, FrameItem } from "#src/frames/messages.js";
import type { Engine, EngineEvents } from "#src/runtime/engine.js";
import { HostedEngines } from "#src/runtime/hosted-engines.js";
import type { Program, StageInput, StageResult } from "#src/runtime/staged/program.js";
import { StagedEngine } from "#src/runtime/staged/staged-engine.js";
import { valuesOnly } from "#src/work/payload.js";

/** One stage: of a thread that ends when it is told to, or of a session that ends at once. */
class OneStage implements Program {
  readonly stages: Program["stages"];
  readonly threads: (() => void)[] = [];

  constructor(kind: "thread" | "session") {
    const run = async (inputs: readonly StageInput[]): Promise<readonly StageResult[]> => {
      if (kind === "thread") await new Promise<void>((resolve) => this.threads.push(resolve));
      return inputs.map(() => ({ kind: "done", value: "" }));
    };
    this.stages = [{ name: "only", kind, limits: { rowsMax: 1, paddedUnitsMax: 1 }, run }];
  }

  begin(): StageInput {
    const cost = { units: 1, width: 1, rows: 1, bytes: 0, batchKey: "" };
    return { stage: 0, cost, makesBytes: 0, data: null };
  }

  finish() {
    return valuesOnly({});
  }

  warmUp() {
    return [];
  }

  judgeWarmUp() {
    return null;
  }

  async release(): Promise<void> {}
}

/** Of whatever is there. */
const loadOf = (model: string) =>
  ({ type: "load", model, modelDir: "", version: "", seen: "", threads: 1, rowsMax: 8 }) as const;

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

test("defect: a model whose items wait for threads does not hold the process while another has work", async () => {
  const pictures = new OneStage("thread");
  const texts = new OneStage("session");
  const sent: ChildFrame[] = [];
  const engines = new HostedEngines({
    loadEngine: async ({ model }, events: EngineEvents): Promise<Engine> =>
      new StagedEngine(model === "pictures" ? pictures : texts, events),
    send: (frame) => sent.push(frame),
    onRun: () => {},
    memoryBytes: () => 0,
    ownMemoryBytes: () => 0,
    die: (error) => assert.fail(String(error)),
  });
  const ended = (): number[] =>
    sent.flatMap((frame) =>
      frame.type === "items" ? frame.outcomes.map(({ itemId }) => itemId) : [],
    );
  const admit = (model: string, workClass: WorkClass, itemId: number): void => {
    const items: FrameItem[] = [{ itemId, payload: valuesOnly({}) }];
    engines.admit({ type: "batch", model, batchId: itemId, class: workClass, items });
  };
  for (const model of ["pictures", "texts"]) engines.load(loadOf(model));
  while (sent.filter(({ type }) => type === "loaded").length < 2) await turn();
  admit("pictures", "bulk", 1);
  await turn();
  assert.equal(pictures.threads.length, 1, "a thread is at it");
  admit("texts", "realtime", 2);
  for (let turns = 0; turns < 10; turns += 1) await turn();
  assert.deepEqual(ended(), [2], "and the other model's item is through meanwhile");
  for (const end of pictures.threads) end();
  for (let turns = 0; turns < 10; turns += 1) await turn();
  assert.deepEqual(ended(), [2, 1]);
});

test("defect: a load does not wait for pictures that threads are at, and no further ones begin meanwhile", async () => {
  const pictures = new OneStage("thread");
  const sent: ChildFrame[] = [];
  const announced: string[] = [];
  let endLoad: () => void = () => {};
  const engines = new HostedEngines({
    loadEngine: async ({ model }, events: EngineEvents): Promise<Engine> => {
      if (model === "pictures") return new StagedEngine(pictures, events);
      await new Promise<void>((resolve) => {
        endLoad = resolve;
      });
      return new StagedEngine(new OneStage("session"), events);
    },
    send: (frame) => sent.push(frame),
    onRun: (model) => announced.push(model),
    memoryBytes: () => 0,
    ownMemoryBytes: () => 0,
    die: (error) => assert.fail(String(error)),
  });
  const types = (): string[] => sent.map(({ type }) => type);
  const turns = async (): Promise<void> => {
    for (let each = 0; each < 10; each += 1) await turn();
  };
  engines.load(loadOf("pictures"));
  await turns();
  const items: FrameItem[] = [1, 2].map((itemId) => ({ itemId, payload: valuesOnly({}) }));
  engines.admit({ type: "batch", model: "pictures", batchId: 1, class: "bulk", items });
  await turns();
  assert.equal(pictures.threads.length, 1, "a thread is at the first, and the second waits for it");
  engines.load(loadOf("texts"));
  await turns();
  assert.deepEqual(types(), ["loading", "loaded", "loading"], "the load has begun");
  pictures.threads[0]?.();
  await turns();
  assert.deepEqual(types().slice(3), ["items"], "what a thread was at has its outcome");
  assert.deepEqual(announced, ["pictures"], "and nothing begins while a model is loaded");
  endLoad();
  await turns();
  assert.equal(pictures.threads.length, 2, "then the next begins");
  pictures.threads[1]?.();
  await turns();
  const ended = sent.flatMap((frame) => (frame.type === "items" ? frame.outcomes : []));
  assert.deepEqual(
    ended.map(({ itemId }) => itemId),
    [1, 2],
  );
});

test("a model is unloaded while another's pictures are with threads", async () => {
  const pictures = new OneStage("thread");
  const sent: ChildFrame[] = [];
  const engines = new HostedEngines({
    loadEngine: async ({ model }, events: EngineEvents): Promise<Engine> =>
      new StagedEngine(model === "pictures" ? pictures : new OneStage("session"), events),
    send: (frame) => sent.push(frame),
    onRun: () => {},
    memoryBytes: () => 0,
    ownMemoryBytes: () => 0,
    die: (error) => assert.fail(String(error)),
  });
  for (const model of ["pictures", "texts"]) engines.load(loadOf(model));
  for (let each = 0; each < 20; each += 1) await turn();
  const items: FrameItem[] = [{ itemId: 1, payload: valuesOnly({}) }];
  engines.admit({ type: "batch", model: "pictures", batchId: 1, class: "realtime", items });
  await turn();
  engines.unload("texts");
  for (let each = 0; each < 10; each += 1) await turn();
  assert.equal(sent.at(-1)?.type, "unloaded");
  // The last one has its own threads to wait for: what is in it goes before its memory does.
  engines.cancel([1]);
  engines.unload("pictures");
  for (let each = 0; each < 10; each += 1) await turn();
  assert.equal(sent.filter(({ type }) => type === "unloaded").length, 1);
  pictures.threads[0]?.();
  for (let each = 0; each < 10; each += 1) await turn();
  assert.equal(sent.filter(({ type }) => type === "unloaded").length, 2);
});

test("what has answered sanely in a process is not warmed up there again", async () => {
  const asked: (readonly [string, boolean])[] = [];
  const sent: ChildFrame[] = [];
  let isBroken = true;
  const engines = new HostedEngines({
    loadEngine: async ({ model, isProven }, events: EngineEvents): Promise<Engine> => {
      asked.push([model, isProven]);
      if (isBroken) throw new Error("it answers nonsense");
      return new StagedEngine(new OneStage("session"), events);
    },
    send: (frame) => sent.push(frame),
    onRun: () => {},
    memoryBytes: () => 0,
    ownMemoryBytes: () => 0,
    die: (error) => assert.fail(String(error)),
  });
  const load = async (model: string): Promise<void> => {
    const answers = (): number =>
      sent.filter(({ type }) => type === "loaded" || type === "load-failed").length;
    const before = answers();
    engines.load(loadOf(model));
    while (answers() === before) await turn();
  };
  await load("a");
  isBroken = false;
  await load("a");
  engines.unload("a");
  await load("a");
  await load("a@1");
  assert.deepEqual(asked, [
    ["a", false],
    ["a", false],
    ["a", true],
    ["a@1", false],
  ]);
});

test("defect: a process that loads one version after the other remembers a bounded number of them", async () => {
  const sent: ChildFrame[] = [];
  const engines = new HostedEngines({
    loadEngine: async (_, events: EngineEvents): Promise<Engine> =>
      new StagedEngine(new OneStage("session"), events),
    send: (frame) => sent.push(frame),
    onRun: () => {},
    memoryBytes: () => 0,
    ownMemoryBytes: () => 0,
    die: (error) => assert.fail(String(error)),
  });
  const use = (model: string): void => {
    engines.load(loadOf(model));
    engines.unload(model);
  };
  const loadsOf = (): number[] =>
    sent.flatMap((frame) => (frame.type === "loaded" && frame.model === "m" ? [frame.loads] : []));
  use("m");
  use("m");
  for (let version = 0; version < 1_024; version += 1) use(`m@${version}`);
  use("m");
  const unloaded = (): number => sent.filter(({ type }) => type === "unloaded").length;
  while (unloaded() < 1_027) await turn();
  assert.deepEqual(loadsOf(), [1, 2, 1]);
});
