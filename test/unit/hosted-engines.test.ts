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
  for (const model of ["pictures", "texts"])
    engines.load({
      type: "load",
      model,
      modelDir: "",
      version: "",
      seen: "",
      threads: 1,
      rowsMax: 8,
    });
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

test("defect: a process that loads one version after the other remembers a bounded number of them", async () => {
  const sent: ChildFrame[] = [];
  const engines = new HostedEngines({
    loadEngine: async (_, events: EngineEvents): Promise<Engine> =>
      new StagedEngine(new OneStage("session"), events),
    send: (frame) => sent.push(frame),
    onRun: () => {},
    memoryBytes: () => 0,
    die: (error) => assert.fail(String(error)),
  });
  const use = (model: string): void => {
    engines.load({
      type: "load",
      model,
      modelDir: "",
      version: "",
      seen: "",
      threads: 1,
      rowsMax: 8,
    });
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
