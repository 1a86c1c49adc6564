/** What the staged engine tells programs of time, and what programs on pictures tell it of size. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import fc from "fast-check";
import { problemOf } from "#src/runtime/staged/active-item.js";
import { detectInput, detectSize } from "#src/runtime/staged/ocr/detect-stage.js";
import { beginPicture } from "#src/runtime/staged/pictures/decode-stage.js";
import type { Program, StageInput, StageResult } from "#src/runtime/staged/program.js";
import { StagedEngine, stagedEngineDefaults } from "#src/runtime/staged/staged-engine.js";
import { valuesOnly } from "#src/work/payload.js";
import { picturePayload } from "#src/work/picture.js";

/** Runs take so long for each unit, and as long for nothing; nothing else takes any time. */
class Slow implements Program {
  readonly stages: Program["stages"];
  readonly told: number[] = [];
  nowMs = 0;
  units = 1;

  constructor({ unitMs, startMs }: { readonly unitMs: number; readonly startMs: number }) {
    const run = (inputs: readonly StageInput[]): Promise<readonly StageResult[]> => {
      const units = inputs.reduce((sum, { cost }) => sum + cost.units, 0);
      this.nowMs += startMs + units * unitMs;
      return Promise.resolve(inputs.map(() => ({ kind: "done", value: null })));
    };
    const limits = { rowsMax: 64, paddedUnitsMax: 1_000 };
    this.stages = [{ name: "only", kind: "session", limits, run }];
  }

  begin(_: unknown, runUnits: (stage: number) => number): StageInput {
    this.told.push(runUnits(0));
    const cost = { units: this.units, width: 1, rows: 1, bytes: 0, batchKey: "" };
    return { stage: 0, cost, data: null };
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

async function toldAfter(program: Slow, runs: readonly number[]): Promise<number> {
  const clock = mock.method(performance, "now", () => program.nowMs);
  try {
    const events = { onRun: () => {}, onOutcomes: () => {} };
    const engine = new StagedEngine(program, events, stagedEngineDefaults);
    for (const [itemId, units] of [...runs, 1].entries()) {
      program.units = units;
      engine.admit("realtime", [{ itemId, payload: valuesOnly({}) }]);
      while (!engine.idle) await engine.step();
    }
    return program.told.at(-1) ?? 0;
  } finally {
    clock.mock.restore();
  }
}

test("a program is told how much of a run ends in time, as it was measured", async () => {
  const told = await toldAfter(new Slow({ unitMs: 20, startMs: 0 }), [1, 8, 1]);
  // A thousand before anything was measured.
  assert.equal(told, 2, "units of 20 ms");
});

test("a run whose start takes longer than a run may is not cut to nothing", async () => {
  const told = await toldAfter(new Slow({ unitMs: 1, startMs: 60 }), [1, 40, 1, 40]);
  assert.ok(told > 1, `${told} units of 1 ms after a start of 60 ms`);
});

test("defect: a picture's cost is whole numbers at every stage, whatever its size", () => {
  const side = fc.integer({ min: 1, max: 3_000 });
  const limits = { sideLimit: 960, sideMax: 4_000, sideMultiple: 32 };
  const options = fc.constantFrom(
    { ...limits, limitType: "max" as const },
    { ...limits, limitType: "min" as const },
  );
  fc.assert(
    fc.property(side, side, options, (width, height, detector) => {
      const file = {
        format: "png",
        width,
        height,
        pixelBytes: 3,
        bytes: new Uint8Array(1),
      } as const;
      const first = beginPicture(picturePayload(file), () => 0);
      assert.ok(typeof first === "object");
      const view = { ...detectSize({ width, height }, detector), data: new Uint8Array(0) };
      const second = detectInput(1, { picture: { width, height, data: new Uint8Array(0) }, view });
      for (const input of [first, second]) {
        assert.equal(problemOf(input, 2), null);
        assert.ok(Number.isSafeInteger(input.cost.units) && input.cost.units > 0);
      }
    }),
  );
});
