/** The models of a recording as a simulated server has them: what the scheduler is told, and what their runs take. */
import type { RecordedModel } from "millrace-client/wire";
import type { ModelSpec } from "../scheduler/types.js";
import type { RunMs, SimulatedCost } from "../simulation/simulated-engine.js";
import type { SimulatedStage } from "../simulation/simulated-staged.js";
import { ModelCosts, type RecordedStage } from "./costs.js";
import type { RecordedLoad } from "./recorded-load.js";

export interface PlannedModel {
  readonly spec: ModelSpec;
  readonly engine: RecordedModel["engine"];
  readonly loadMs: number;
  /** Of a staged one. */
  readonly stages: readonly SimulatedStage[];
  readonly runMs: RunMs;
  /** What the scheduler is told of runs before the first request, as it had learned of them. */
  readonly reports: readonly RecordedStage[];
  /** What pipelines did of it while it was recorded: with that a node begins, which says how long its inputs take. */
  readonly done: { readonly ms: number; readonly inputs: number };
  /** As an engine has it, with what comes out of it. */
  readonly costOf: (item: {
    readonly units: number;
    readonly width: number;
    readonly rows: number;
  }) => SimulatedCost;
}

/** Of `load`, with the times of `measured`: the same recording, or another one of the same models. */
export function plannedModels(
  load: RecordedLoad,
  measured: RecordedLoad = load,
): readonly PlannedModel[] {
  return load.models.map((model) => {
    const known = measured.head.models.find((each) => each.model === model.model) ?? model;
    const own = measured.runs.filter((each) => each.model === model.model);
    const reports = own.flatMap(({ stages }) => stages);
    const costs = new ModelCosts(known, reports);
    const sums = itemSums(measured, model.model);
    const { engine, loadMs, runRowsMax, mode, bytes, keep, rowsMax } = model;
    const rows = runRowsMax === null ? { rowsMax } : { rowsMax, runRowsMax };
    const outputs = outputsEach(reports, sums);
    return {
      spec: { model: model.model, mode, bytes, keep, ...rows },
      engine,
      loadMs,
      stages: costs.stages.map((name) => stageOf(name, reports, sums)),
      runMs: costs.runMs,
      reports: reports.length > 0 ? reports : learnedReports(known),
      done: { ms: reports.reduce((sum, { ms }) => sum + ms, 0), inputs: sums.endedInputs },
      costOf:
        engine === "generation"
          ? (item) => ({ ...item, outputTokens: Math.max(1, Math.round(outputs * item.width)) })
          : (item) => item,
    };
  });
}

interface ItemSums {
  readonly endedInputs: number;
  readonly items: number;
  readonly units: number;
  readonly rows: number;
  /** Each item's units as often as it has rows. */
  readonly effort: number;
}

function itemSums({ calls }: RecordedLoad, model: string): ItemSums {
  const sums = { endedInputs: 0, items: 0, units: 0, rows: 0, effort: 0 };
  for (const call of calls) {
    if (call.model !== model || call.isGuessed) continue;
    if (call.endMs !== null) sums.endedInputs += call.inputs;
    for (const [units, , rows, count] of call.items) {
      sums.items += count;
      sums.units += count * units;
      sums.rows += count * rows;
      sums.effort += count * units * rows;
    }
  }
  return sums;
}

function stageSums(
  name: string,
  reports: readonly RecordedStage[],
): Pick<RecordedStage, "units" | "rows"> | null {
  const all = { units: 0, rows: 0 };
  const own = reports.filter(({ stage }) => stage === name);
  for (const { units, rows } of own) {
    all.units += units;
    all.rows += rows;
  }
  return own.length === 0 ? null : all;
}

/** Tokens that come out for each that goes in. What is still in the pipelines at both ends of the recording is taken to be as much. */
function outputsEach(reports: readonly RecordedStage[], { effort, units }: ItemSums): number {
  const encoded = stageSums("encode", reports);
  const decoded = stageSums("decode", reports);
  if (encoded === null || decoded === null || encoded.units === 0 || units === 0) return 1;
  const rowsEach = effort / units;
  return rowsEach === 0 ? 1 : decoded.units / (encoded.units * rowsEach);
}

function stageOf(name: string, reports: readonly RecordedStage[], of: ItemSums): SimulatedStage {
  const sums = stageSums(name, reports);
  if (sums === null || of.units === 0 || of.rows === 0) return { name, unitsEach: 1, rowsEach: 1 };
  return { name, unitsEach: sums.units / of.units, rowsEach: sums.rows / of.rows };
}

/** As if the line that was learned had been measured: at two sizes, so that it is a line. */
function learnedReports({ learned }: RecordedModel): readonly RecordedStage[] {
  return Object.entries(learned).flatMap(([stage, { perRunMs, perUnitMs }]) =>
    [64, 1_024].map((units): RecordedStage => {
      const ms = 10 * (perRunMs + perUnitMs * units);
      const all = 10 * units;
      return { stage, runs: 10, rows: 10, units: all, paddedUnits: all, ms, sizes: [] };
    }),
  );
}
