/**
 * READ FIRST of this folder. What other configurations would have done with a recorded load.
 *
 *   recording ─► recorded-load.ts ─► planned-models.ts, costs.ts ─┐
 *                 calls, what callers saw      what runs take     ├─► replay.ts ─► figures.ts
 *                callers.ts: who waited for an answer ────────────┘    made-server.ts, made-pipeline.ts, on ../simulation
 *
 * The recorded configuration comes first, beside what really happened: how far the rest can be believed.
 */
import type { PipelineKind, RecordedRuns, WorkClass } from "millrace-client/wire";
import type { PolicyName } from "../scheduler/policy.js";
import { type Callers, callersOf } from "./callers.js";
import { betweenRunsMs } from "./costs.js";
import type { FiguresByClass } from "./figures.js";
import type { PlannedPipeline, ServerShape } from "./made-server.js";
import { type PlannedModel, plannedModels } from "./planned-models.js";
import type { RecordedLoad } from "./recorded-load.js";
import { type Replayed, replay } from "./replay.js";
import { pipelinesOf } from "./seed-pipelines.js";
import { expectedMsOf, Slowness } from "./slowness.js";

export interface PlanQuestion {
  /** Null: some around what was recorded, or with `p99Ms` as many as it takes. */
  readonly pipelines: readonly number[] | null;
  /** Empty: the recorded one. */
  readonly policies: readonly PolicyName[];
  readonly loadFactors: readonly number[];
  /** Of realtime, where there is some, else of bulk. Null: nobody asks how many it takes. */
  readonly p99Ms: number | null;
  /** Null: as the recording looks. */
  readonly waits: boolean | null;
  /** Another recording of the same models, whose times and threads are taken. Null: its own. */
  readonly measured: RecordedLoad | null;
}

export interface PlanRow {
  readonly policy: PolicyName;
  readonly pipelines: number;
  readonly loadFactor: number;
  readonly replayed: Replayed;
  /** More comes than is done: the longer it is recorded, the longer are the waits. */
  readonly fallsBehind: boolean;
}

export interface PredictionError {
  /** Predicted / real. */
  readonly p50: number;
  readonly p99: number;
}

export interface Plan {
  /** Whether callers are taken to wait for their answers. */
  readonly waits: boolean;
  readonly callers: Pick<Callers, "linkedShare" | "chance" | "dispersion"> & { readonly count: number };
  readonly recorded: {
    readonly actual: FiguresByClass;
    readonly refused: Readonly<Record<string, number>>;
    readonly predicted: PlanRow;
    readonly errors: Readonly<Partial<Record<WorkClass, PredictionError>>>;
  };
  readonly rows: readonly PlanRow[];
  /** For each policy and load the fewest pipelines whose p99 is within what was asked; null: none of those tried. */
  readonly answers: readonly {
    readonly policy: PolicyName;
    readonly loadFactor: number;
    readonly pipelines: number | null;
  }[];
  readonly threads: number;
}

/** More pipelines than that are not searched. */
const searchedMax = 64;
/** Of the time of the recording, that is needed for what is left at its end. */
const behindShare = 0.05;
const behindMsMin = 1_000;

export function plan(load: RecordedLoad, question: PlanQuestion): Plan {
  return new Planner(load, question).plan();
}

class Planner {
  readonly #load: RecordedLoad;
  readonly #question: PlanQuestion;
  readonly #measured: RecordedLoad;
  readonly #models: readonly PlannedModel[];
  readonly #callers: Callers;
  readonly #waits: boolean;
  readonly #rows = new Map<string, PlanRow>();

  constructor(load: RecordedLoad, question: PlanQuestion) {
    this.#load = load;
    this.#question = question;
    this.#measured = question.measured ?? load;
    this.#models = plannedModels(load, this.#measured);
    this.#callers = callersOf(load.calls, load.lengthMs);
    this.#waits = question.waits ?? this.#callers.isLikely;
  }

  plan(): Plan {
    const { head, actual } = this.#load;
    const { policies, loadFactors } = this.#question;
    const own = head.options.policy as PolicyName;
    const predicted = this.#recordedRow(own);
    const asked = policies.length === 0 ? [own] : policies;
    const cases = asked.flatMap((policy) =>
      loadFactors.map((loadFactor) => ({ policy, loadFactor })),
    );
    const answers = cases.map((each) => ({ ...each, pipelines: this.#answer(each) }));
    const { linkedShare, chance, dispersion, chains } = this.#callers;
    return {
      waits: this.#waits,
      callers: { linkedShare, chance, dispersion, count: chains.length },
      recorded: {
        actual: actual.classes,
        refused: actual.refused,
        predicted,
        errors: errorsOf(actual.classes, predicted.replayed.classes),
      },
      rows: [...this.#rows.values()].toSorted(inOrder(asked, loadFactors)),
      answers: this.#question.p99Ms === null ? [] : answers,
      threads: this.#measured.head.machine.threads,
    };
  }

  /** The very configuration that was recorded, with its own times. */
  #recordedRow(policy: PolicyName): PlanRow {
    const { load, models } = { load: this.#load, models: plannedModels(this.#load) };
    const shape = { policy, pipelines: load.head.pipelines, ...timesOf(load, load) };
    return this.#rowOf({ policy, pipelines: shape.pipelines.length, loadFactor: 1 }, shape, models);
  }

  #answer(of: { readonly policy: PolicyName; readonly loadFactor: number }): number | null {
    const { pipelines, p99Ms } = this.#question;
    const own = this.#load.head.pipelines.length;
    const tried = pipelines ?? (p99Ms === null ? [...new Set([1, own, 2 * own])] : null);
    if (tried === null) return this.#search(of);
    const rows = tried.map((count) => this.#row({ ...of, pipelines: count }));
    return rows.find((row) => this.#isEnough(row))?.pipelines ?? null;
  }

  /** Doubles until it is enough, then looks in between. */
  #search(of: { readonly policy: PolicyName; readonly loadFactor: number }): number | null {
    const isEnough = (pipelines: number): boolean =>
      this.#isEnough(this.#row({ ...of, pipelines }));
    let most = 1;
    while (!isEnough(most)) {
      if (most >= searchedMax) return null;
      most *= 2;
    }
    let least = most >> 1;
    while (most - least > 1) {
      const middle = (least + most) >> 1;
      if (isEnough(middle)) most = middle;
      else least = middle;
    }
    return most;
  }

  #isEnough({ replayed: { classes, refused }, fallsBehind }: PlanRow): boolean {
    const { p99Ms } = this.#question;
    const first = classes.realtime ?? classes.bulk;
    const isRefused = Object.keys(refused).length > 0;
    return (
      p99Ms !== null && first !== undefined && !isRefused && !fallsBehind && first.p99Ms <= p99Ms
    );
  }

  #row(of: Pick<PlanRow, "policy" | "pipelines" | "loadFactor">): PlanRow {
    const name = `${of.policy} ${of.pipelines} ${of.loadFactor}`;
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const pipelines = this.#pipelinesOf(of.policy, of.pipelines);
    const shape = { policy: of.policy, pipelines, ...timesOf(this.#load, this.#measured) };
    const row = this.#rowOf(of, shape, this.#models);
    this.#rows.set(name, row);
    return row;
  }

  #rowOf(
    of: Pick<PlanRow, "policy" | "pipelines" | "loadFactor">,
    shape: ServerShape,
    models: readonly PlannedModel[],
  ): PlanRow {
    const chains = this.#waits ? this.#callers.chains : null;
    const { loadFactor } = of;
    const replayed = replay({ load: this.#load, models, shape, loadFactor, chains });
    const { drainMs, lengthMs } = replayed;
    const fallsBehind = drainMs > Math.max(behindMsMin, behindShare * lengthMs);
    return { ...of, replayed, fallsBehind };
  }

  /** Those that were recorded where there are as many of them; else shared ones, or the router's halves, with the same memory together. */
  #pipelinesOf(policy: PolicyName, count: number): readonly PlannedPipeline[] {
    const { head, calls } = this.#load;
    const recorded = head.pipelines;
    const isOwn = recorded.length === count && policy === head.options.policy;
    if (isOwn) return recorded;
    const memory = recorded.reduce((sum, { modelMemoryBytesMax }) => sum + modelMemoryBytesMax, 0);
    const hasBulk = calls.some((call) => call.class === "bulk");
    const kinds: readonly PipelineKind[] = pipelinesOf(policy, count, hasBulk);
    const resident = [...new Set(recorded.flatMap((each) => each.resident))];
    const modelMemoryBytesMax = Math.floor(memory / count);
    return kinds.map((kind) => ({ kind, modelMemoryBytesMax, resident }));
  }
}

/**
 * Pipelines that want more cores than there are take turns on them; what was recorded so holds that already. Slow moments of the machine
 * are those of the load that is replayed, where its own times are taken.
 */
function timesOf(
  load: RecordedLoad,
  measured: RecordedLoad,
): Pick<ServerShape, "betweenMs" | "stretchOf"> {
  const { threads } = measured.head.machine;
  const { cores } = load.head.machine;
  const crowdOf = (running: number): number => Math.max(1, (running * threads) / cores);
  const recorded = crowdOf(meanRunning(measured));
  const betweenMs = betweenRunsMs(measured.runs);
  const runMsOf = new Map(
    plannedModels(load, measured).map(({ spec, runMs }) => [spec.model, runMs]),
  );
  const expectedMs = (line: RecordedRuns): number => {
    const runMs = runMsOf.get(line.model);
    return runMs === undefined ? 0 : expectedMsOf(line, runMs);
  };
  const own = measured === load ? load.runs : [];
  const slowness = new Slowness(own, { expectedMs, betweenMs });
  return {
    betweenMs,
    stretchOf: (running, atMs) => Math.max(1, crowdOf(running) / recorded) * slowness.at(atMs),
  };
}

/** Pipelines that ran at a time on an average, while any did. */
function meanRunning({ runs, head, lengthMs }: RecordedLoad): number {
  let ms = 0;
  for (const { stages } of runs) for (const stage of stages) ms += stage.ms;
  return Math.min(head.pipelines.length, Math.max(1, ms / Math.max(1, lengthMs)));
}

function errorsOf(
  actual: FiguresByClass,
  predicted: FiguresByClass,
): Partial<Record<WorkClass, PredictionError>> {
  const errors: Partial<Record<WorkClass, PredictionError>> = {};
  for (const workClass of ["realtime", "bulk"] as const) {
    const [real, own] = [actual[workClass], predicted[workClass]];
    if (real === undefined || own === undefined || real.answered === 0) continue;
    errors[workClass] = { p50: own.p50Ms / real.p50Ms, p99: own.p99Ms / real.p99Ms };
  }
  return errors;
}

function inOrder(
  policies: readonly PolicyName[],
  loads: readonly number[],
): (a: PlanRow, b: PlanRow) => number {
  return (a, b) =>
    policies.indexOf(a.policy) - policies.indexOf(b.policy) ||
    loads.indexOf(a.loadFactor) - loads.indexOf(b.loadFactor) ||
    a.pipelines - b.pipelines;
}
