/** A plan from a seed: mostly a few callers, sometimes many; options at their odd ends; and things that go wrong. */
import type { WorkClass } from "millrace-client/wire";
import {
  type CallerPlan,
  type FaultKind,
  type FaultPlan,
  faultKinds,
  type InputPlan,
  type Leave,
  type ModelPlan,
  type OptionsPlan,
  type PiecePlan,
  type PipelinePlan,
  type Plan,
  type PoisonPlan,
  type SurroundingsPlan,
} from "./plan.js";
import { Random } from "./random.js";

/** What all callers of a plan have in common. */
interface Mood {
  readonly callers: number;
  readonly meanGapMs: number;
  readonly hasPoison: boolean;
  readonly hasBadItems: boolean;
  readonly leaves: number;
  readonly deadlines: number;
  readonly meanTimeoutMs: number;
  readonly itemsMax: number;
  readonly widthMax: number;
  readonly batchKeys: readonly string[];
  readonly densities: readonly number[];
}

export function makePlan(seed: number): Plan {
  const random = new Random(seed);
  const chance = random.next();
  const size = chance < 0.85 ? "small" : chance < 0.98 ? "middle" : "large";
  const names = random.pick([...modelNames]);
  const isTight = names.length > 1 && random.chance(0.6);
  const models = names.map((name) => makeModel(random, { name, isTight }));
  const mood = makeMood(random, size);
  const faults = random.pick([0, 0.3, 0.3, 0.8]);
  const callers: CallerPlan[] = [];
  // Mostly when the pipelines are up.
  let atMs = random.pick([0, 100, 100, 100, 100]);
  for (let count = mood.callers; count > 0; count -= 1) {
    atMs += random.gap(mood.meanGapMs);
    callers.push(makeCaller(random, { atMs, model: random.pick(models).name, mood }));
  }
  const endsAtMs = atMs + 100;
  return {
    seed,
    options: makeOptions(random, callers),
    surroundings: makeSurroundings(random, endsAtMs),
    models,
    pipelines: makePipelines(random, { isTight, faults }),
    callers,
    stop: random.chance(0.25)
      ? { atMs: random.next() * endsAtMs * 1.5, drainMs: random.pick([0, 10, 100, 5_000]) }
      : null,
  };
}

const modelNames = [["a"], ["a"], ["a"], ["a"], ["a", "b"], ["a", "b"], ["a", "b", "c", "d"]];

/** `isTight`: some of them fit into a pipeline, and not all. */
function makeModel(
  random: Random,
  { name, isTight }: { readonly name: string; readonly isTight: boolean },
): ModelPlan {
  const bytes = random.pick([10, 20, 30]);
  const keeps = isTight
    ? (["preloaded", "on-demand", "on-demand", "pinned"] as const)
    : (["preloaded", "preloaded", "pinned", "on-demand"] as const);
  const mode = random.pick(["continuous", "one-shot"] as const);
  const keep = random.pick(keeps);
  const growsBytes = random.pick([bytes, bytes, 0, 1.5 * bytes]);
  return {
    name,
    mode,
    keep,
    rowsMax: random.pick([1, 4, 16, 64]),
    bytes,
    growsBytes,
    // No number is drawn for it, so that a seed stays the schedule that it was.
    leastBytes: growsBytes === bytes ? bytes : bytes / 2,
    loadMs: random.pick([0, 1, 60, 60]),
    broken: random.chance(0.05) ? random.pick(["is-invalid", "kills"] as const) : "no",
    goneAtMs: random.chance(0.05) ? random.int(80, 250) : null,
  };
}

function makeMood(random: Random, size: "small" | "middle" | "large"): Mood {
  const many = { small: [1, 4], middle: [5, 10], large: [12, 30] } as const;
  const itemsMax = { small: [1, 2, 4], middle: [1, 3, 8], large: [2, 8, 8, 40] } as const;
  const [least, most] = many[size];
  return {
    callers: random.int(least, most),
    meanGapMs: random.pick([0, 1, 4, 15, 60]),
    hasPoison: random.chance(0.25),
    hasBadItems: random.chance(0.2),
    leaves: random.pick([0, 0.2, 0.6]),
    deadlines: random.pick([0, 0.3, 0.8]),
    meanTimeoutMs: random.pick([5, 60, 60, 400]),
    itemsMax: random.pick(itemsMax[size]),
    widthMax: random.pick([12, 40, 120]),
    batchKeys: random.pick([[""], [""], ["x", "y"], ["x", "y", "z"]]),
    densities: random.pick([[1], [1], [0.5, 2]]),
  };
}

function makeOptions(random: Random, callers: readonly CallerPlan[]): OptionsPlan {
  const items = callers.reduce(
    (sum, { inputs }) => sum + Math.max(inputs.length, piecesOf(inputs)),
    0,
  );
  const backoffMinMs = random.pick([1, 100]);
  const hangFloorMs = random.pick([100, 2_000]);
  // Looks that are frequent, or long: both together only cost the simulator's time.
  const [checkMs, runMsMax] = random.pick([
    [50, 1_000],
    [50, 3_000],
    [500, 3_000],
    [500, 60_000],
  ] as const);
  return {
    policy: random.pick(["millrace", "millrace", "millrace", "fcfs", "seed-router"] as const),
    realtimeTargetMs: random.pick([5, 20, 50, 200]),
    ageLimitMs: random.pick([0, 100, 300, 2_000]),
    prefetchRows: random.pick([0, 4, 16]),
    bulkThreshold: random.pick([1, 4, 256]),
    sliceItemsMax: random.pick([1, 3, 4_096, 4_096]),
    queuedItemsMax: random.pick([1, Math.ceil(items / 3), 1_000_000, 1_000_000, 1_000_000]),
    queuedBytesMax: random.pick([60, 200, 1_000_000, 1_000_000, 1_000_000]),
    attemptsMax: random.pick([1, 2, 3, 8, 8]),
    checkMs,
    hangFloorMs,
    hangFactor: random.pick([2, 10]),
    // Not 1: whoever looks once may look while the outcome of a run that waited for the processor is on its way.
    stillChecksMax: random.pick([2, 4]),
    runMsMax,
    startTimeoutMs: random.pick([1_000, 120_000]),
    stopTimeoutMs: random.pick([1, 100, 2_000]),
    killTimeoutMs: random.pick([50, 5_000]),
    backoffMinMs,
    backoffMaxMs: backoffMinMs * random.pick([1, 16, 100]),
    loadBackoffMinMs: backoffMinMs,
    loadBackoffMaxMs: 60 * backoffMinMs,
  };
}

function piecesOf(inputs: readonly InputPlan[]): number {
  return inputs.reduce((sum, { pieces }) => sum + pieces.length, 0);
}

function makeSurroundings(random: Random, endsAtMs: number): SurroundingsPlan {
  return {
    bytes: random.chance(0.25),
    latencyMs: random.pick([0, 0.1, 3]),
    lateMsMax: random.pick([0, 0, 1, 15]),
    processTimes: random.chance(0.9),
    killCounter: random.chance(0.8),
    pauses: random.chance(0.1)
      ? [{ atMs: random.next() * endsAtMs * 1.2, ms: random.pick([50, 400, 5_000, 90_000]) }]
      : [],
  };
}

function makePipelines(
  random: Random,
  { isTight, faults }: { readonly isTight: boolean; readonly faults: number },
): PipelinePlan[] {
  const kinds = random.pick([
    ["shared"],
    ["shared"],
    ["shared", "shared"],
    ["realtime", "bulk"],
    ["realtime"],
    ["shared", "bulk", "realtime"],
  ] as const);
  const modelMemoryBytesMax = isTight ? random.pick([45, 60]) : 1_000;
  return kinds.map((kind, at) => {
    const lives: (FaultPlan | null)[] = [];
    while (lives.length < 4 && random.chance(faults)) {
      lives.push(random.chance(0.1) ? null : makeFault(random));
    }
    return {
      pipelineId: `p${at}`,
      kind,
      modelMemoryBytesMax,
      bootMs: random.pick([0, 1, 30]),
      lives,
    };
  });
}

const faultsAtStart: ReadonlySet<FaultKind> = new Set([
  "spawn-fails",
  "never-loaded",
  "dies-loading",
  "load-fails",
  "wrong-version",
]);

function makeFault(random: Random): FaultPlan {
  const kind = random.pick(faultKinds);
  if (faultsAtStart.has(kind)) return { kind, when: { frame: 0 } };
  // Frames 0 to 2 are hello, loading and loaded; what follows are runs, outcomes, reports and items that came back.
  const frame = random.pick([0, 1, 2, 3, 3, 4, 4, 4, 5, 6, 7, 9, 13, 21]);
  return { kind, when: random.chance(0.6) ? { frame } : { ms: random.gap(80) } };
}

function makeCaller(
  random: Random,
  { atMs, model, mood }: { readonly atMs: number; readonly model: string; readonly mood: Mood },
): CallerPlan {
  const workClass: WorkClass = random.pick(["realtime", "bulk"] as const);
  const most = workClass === "bulk" ? mood.itemsMax : random.pick([1, 1, mood.itemsMax]);
  const rows = random.pick([1, 1, 1, 4]);
  const inputs: InputPlan[] = [];
  let left = random.int(1, most);
  while (left > 0) {
    const count = random.chance(0.7) ? 1 : random.int(0, Math.min(left, 3));
    const pieces = Array.from({ length: count }, () => makePiece(random, { mood, rows }));
    inputs.push({ bad: mood.hasBadItems && random.chance(0.1), pieces });
    left -= Math.max(1, count);
  }
  const leaves = random.chance(mood.leaves);
  return {
    atMs,
    model,
    class: random.chance(0.8) ? workClass : null,
    tenant: random.pick(["", "x", "y"]),
    timeoutMs: random.chance(mood.deadlines) ? random.gap(mood.meanTimeoutMs) : null,
    payloadBytes: random.int(1, 100),
    prepareMs: random.pick([0, 0, 0, 0, 0, 0, 0, 0, 0, random.gap(10), random.gap(10), 12_000]),
    leave: leaves ? makeLeave(random, inputs) : null,
    inputs,
  };
}

function makePiece(
  random: Random,
  { mood, rows }: { readonly mood: Mood; readonly rows: number },
): PiecePlan {
  const width = random.int(2, mood.widthMax);
  const poison = mood.hasPoison && random.chance(0.15);
  return {
    units: Math.ceil(width * random.pick(mood.densities)),
    width,
    rows,
    bytes: random.int(0, 40),
    batchKey: random.pick(mood.batchKeys),
    poison: poison ? makePoison(random) : null,
    answer: mood.hasBadItems ? random.pick(answers) : "good",
  };
}

const answers = ["good", "good", "good", "failed", "bad-value", "breaks-run", "too-large"] as const;

function makePoison(random: Random): PoisonPlan {
  const end = random.pick([
    "exit",
    "segfault",
    "out-of-memory",
    "killed-from-outside",
    "hang-still",
  ] as const);
  return { end, onlyInCompany: random.chance(0.2) };
}

function makeLeave(random: Random, inputs: readonly InputPlan[]): Leave {
  const nth = random.int(1, Math.max(1, Math.min(3, inputs.length)));
  switch (random.int(0, 10)) {
    case 0:
      return { moment: "before-the-call" };
    case 1:
      return { moment: "in-the-same-turn" };
    case 2:
      return { moment: "when-accepted" };
    case 3:
      return { moment: "at-an-outcome", nth };
    case 4:
      return { moment: "callback-throws", nth: nth - 1 };
    case 5:
    case 6:
      return { moment: "when-sent", nth };
    case 7:
      return { moment: "when-running", nth };
    case 8:
      return { moment: "at-anothers-outcome", nth };
    default:
      return { moment: "later", afterMs: random.gap(30) };
  }
}
