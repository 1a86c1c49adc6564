/**
 * READ FIRST of this folder. What other configurations would have done with a recorded load.
 *
 *   recording ─► recorded-load.ts ─► planned-models.ts, costs.ts ─┐
 *                 calls, what callers saw      what runs take     ├─► replay.ts ─► figures.ts
 *                callers.ts: who waited for an answer ────────────┘    one server: simulated-server.ts, simulated-pipeline.ts
 *                                                                      several: simulated-edge.ts, simulated-node.ts, simulated-lots.ts
 *
 * The recorded configuration comes first, beside what really happened: how far the rest can be believed.
 */
import type { PipelineKind, RecordedRuns, WorkClass } from "millrace-client/wire";
import { type PolicyName, policyNamed } from "../scheduler/policy.js";
import { type Callers, callersOf } from "./callers.js";
import { betweenRunsMs } from "./costs.js";
import type { FiguresByClass } from "./figures.js";
import { type PlannedModel, plannedModels } from "./planned-models.js";
import type { RecordedLoad } from "./recorded-load.js";
import { type Replayed, replay } from "./replay.js";
import { pipelinesOf } from "./seed-pipelines.js";
import type { PlannedPipeline, ServerShape } from "./simulated-server.js";
import { expectedMsOf, Slowness } from "./slowness.js";

export interface PlanQuestion {
  /** Of each node. Null: some around what was recorded, or with `p99Ms` as many as it takes. */
  readonly pipelines: readonly number[] | null;
  /** Several are behind an edge. */
  readonly nodes: readonly number[];
  /** Whether an edge may cut requests of this task into lots. */
  readonly isCut: (task: string) => boolean;
  /** Empty: the recorded one. */
  readonly policies: readonly PolicyName[];
  readonly loadFactors: readonly number[];
  /** Of realtime, where there is some, else of bulk. Null: nobody asks how many it takes. */
  readonly p99Ms: number | null;
  /** Null: as the recording looks. */
  readonly waits: boolean | null;
  /** Another recording of the same models, whose times and threads are taken. Null: its own. */
  readonly measured: RecordedLoad | null;
  /** Told of each replay from time to time, and when it begins: how much of its time is over, from 0 to 1. */
  readonly onProgress?: (replay: PlanCase, share: number) => void;
}

export interface PlanCase {
  readonly policy: PolicyName;
  readonly nodes: number;
  /** Of each node. */
  readonly pipelines: number;
  readonly loadFactor: number;
}

export interface PlanRow extends PlanCase {
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
  readonly callers: Pick<Callers, "linkedShare" | "chance" | "dispersion"> & {
    readonly count: number;
  };
  readonly recorded: {
    readonly actual: FiguresByClass;
    readonly refused: Readonly<Record<string, number>>;
    readonly predicted: PlanRow;
    readonly errors: Readonly<Partial<Record<WorkClass, PredictionError>>>;
  };
  readonly rows: readonly PlanRow[];
  readonly answers: readonly PlanAnswer[];
  readonly threads: number;
}

/** The fewest pipelines in all whose p99 is within what was asked, and of as many the fewest nodes. */
export interface PlanAnswer {
  readonly policy: PolicyName;
  readonly loadFactor: number;
  /** Null: none of those tried. */
  readonly enough: { readonly nodes: number; readonly pipelines: number } | null;
}

/** More pipelines of a node than that are not searched, and not more than twice what its cores hold: these would only take turns. */
const searchedMax = 64;
/** Of the time of the recording, that is needed for what is left at its end. */
const behindShare = 0.05;
const behindMsMin = 1_000;

/** A load whose policy is none of this version's is not taken: whoever reads recordings refuses it. */
export function plan(load: RecordedLoad, question: PlanQuestion): Plan {
  return new Planner(load, question).plan();
}

class Planner {
  readonly #load: RecordedLoad;
  readonly #question: PlanQuestion;
  readonly #measured: RecordedLoad;
  readonly #models: readonly PlannedModel[];
  readonly #recordedPolicy: PolicyName;
  readonly #callers: Callers;
  readonly #waits: boolean;
  readonly #rows = new Map<string, PlanRow>();
  /** Of the very configuration that was recorded, with its own times. */
  readonly #predicted: PlanRow;

  constructor(load: RecordedLoad, question: PlanQuestion) {
    const policy = policyNamed(load.head.options.policy);
    if (policy === null) throw new Error(`nothing is planned with ${load.head.options.policy}`);
    this.#load = load;
    this.#question = question;
    this.#recordedPolicy = policy;
    this.#measured = question.measured ?? load;
    this.#models = plannedModels(load, this.#measured);
    this.#callers = callersOf(load.calls, load.lengthMs);
    this.#waits = question.waits ?? this.#callers.isLikely;
    this.#predicted = this.#recordedRow();
  }

  plan(): Plan {
    const { actual } = this.#load;
    const { policies, loadFactors } = this.#question;
    const predicted = this.#predicted;
    const asked = policies.length === 0 ? [this.#recordedPolicy] : policies;
    const cases = asked.flatMap((policy) =>
      loadFactors.map((loadFactor) => ({ policy, loadFactor })),
    );
    const answers = cases.map((each) => ({ ...each, enough: this.#answer(each) }));
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

  #recordedRow(): PlanRow {
    const { head } = this.#load;
    const policy = this.#recordedPolicy;
    const shape = { policy, pipelines: head.pipelines, ...timesOf(this.#load, this.#load) };
    const of = { policy, nodes: 1, pipelines: head.pipelines.length, loadFactor: 1 };
    return this.#rowOf(of, shape, plannedModels(this.#load));
  }

  #answer(of: Omit<PlanAnswer, "enough">): PlanAnswer["enough"] {
    const { pipelines, p99Ms, nodes } = this.#question;
    const own = this.#load.head.pipelines.length;
    const tried = pipelines ?? (p99Ms === null ? [...new Set([1, own, 2 * own])] : null);
    if (tried !== null) {
      const rows = nodes.flatMap((count) =>
        tried.map((each) => this.#row({ ...of, nodes: count, pipelines: each })),
      );
      const [best] = rows.filter((row) => this.#isEnough(row)).toSorted(cheapestFirst);
      return best === undefined ? null : { nodes: best.nodes, pipelines: best.pipelines };
    }
    let best: PlanAnswer["enough"] = null;
    for (const count of nodes.toSorted((a, b) => a - b)) {
      // As many in all on more nodes are no better.
      const most = best === null ? Infinity : Math.ceil((best.nodes * best.pipelines) / count) - 1;
      const found = this.#search({ ...of, nodes: count }, Math.min(most, this.#searchedMax));
      if (found !== null) best = { nodes: count, pipelines: found };
    }
    return best;
  }

  get #searchedMax(): number {
    const { cores } = this.#load.head.machine;
    const { threads } = this.#measured.head.machine;
    const crowd = Math.ceil((2 * cores) / Math.max(1, threads));
    return Math.min(searchedMax, Math.max(crowd, this.#load.head.pipelines.length));
  }

  /** Doubles until it is enough, then looks in between. Null: so many at the most are not. */
  #search(of: Omit<PlanCase, "pipelines">, pipelinesMax: number): number | null {
    const isEnough = (pipelines: number): boolean =>
      this.#isEnough(this.#row({ ...of, pipelines }));
    let least = 0;
    let most = Math.min(1, pipelinesMax);
    while (most === 0 || !isEnough(most)) {
      if (most >= pipelinesMax) return null;
      least = most;
      most = Math.min(2 * most, pipelinesMax);
    }
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

  #row(of: PlanCase): PlanRow {
    const name = `${of.policy} ${of.nodes} ${of.pipelines} ${of.loadFactor}`;
    const known = this.#rows.get(name);
    if (known !== undefined) return known;
    const pipelines = this.#pipelinesOf(of.policy, of.pipelines);
    const shape = { policy: of.policy, pipelines, ...timesOf(this.#load, this.#measured) };
    const isRecorded = pipelines === this.#load.head.pipelines && this.#measured === this.#load;
    const isSame = isRecorded && of.nodes === 1 && of.loadFactor === 1;
    const row = isSame ? this.#predicted : this.#rowOf(of, shape, this.#models);
    this.#rows.set(name, row);
    return row;
  }

  #rowOf(of: PlanCase, shape: ServerShape, models: readonly PlannedModel[]): PlanRow {
    const chains = this.#waits ? this.#callers.chains : null;
    const { loadFactor, nodes } = of;
    const { isCut, onProgress } = this.#question;
    const parts = { load: this.#load, models, shape, nodes, isCut, loadFactor, chains };
    const replayed = replay(parts, (share) => onProgress?.(of, share));
    const { drainMs, lengthMs } = replayed;
    const fallsBehind = drainMs > Math.max(behindMsMin, behindShare * lengthMs);
    return { ...of, replayed, fallsBehind };
  }

  /** Those that were recorded where there are as many of them; else shared ones, or the router's halves, with the same memory together. */
  #pipelinesOf(policy: PolicyName, count: number): readonly PlannedPipeline[] {
    const { head, calls } = this.#load;
    const recorded = head.pipelines;
    const isOwn = recorded.length === count && policy === this.#recordedPolicy;
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
    a.nodes - b.nodes ||
    a.pipelines - b.pipelines;
}

function cheapestFirst(
  a: Pick<PlanCase, "nodes" | "pipelines">,
  b: Pick<PlanCase, "nodes" | "pipelines">,
): number {
  return a.nodes * a.pipelines - b.nodes * b.pipelines || a.nodes - b.nodes;
}
