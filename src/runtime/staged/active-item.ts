/**
 * An item inside the engine, and the tree of inputs that its program makes of it:
 *
 *   item ── first input ── fork ──┬── input ─────────────► result
 *                                 ├── input ── fork ──┬──► result     a fork gathers when all of its results are there,
 *                                 │                   └──► result     and what it makes of them is its input's result
 *                                 └── input ─────────────► result
 */
import type { WorkClass } from "millrace-client/wire";
import type { WaitingInput } from "./choosing.js";
import type { StageInput, StageResult, StageResultValue } from "./program.js";

export interface StagedItem {
  readonly itemId: number;
  readonly workClass: WorkClass;
  /** A run with it was announced: it can be suspected, and is not recalled any more. */
  begun: boolean;
  /** It was cancelled, or has its outcome: whatever is still on its way is dropped when it comes. */
  gone: boolean;
}

/** An input of a stage, from when it waits to its result. */
export interface Branch extends WaitingInput {
  readonly item: StagedItem;
  readonly stage: number;
  readonly input: StageInput;
  /** Where its result belongs; null: it is the item's. */
  readonly place: Place | null;
}

interface Place {
  readonly fork: Fork;
  readonly index: number;
}

interface Fork {
  readonly place: Place | null;
  readonly gather: Extract<StageResult, { readonly kind: "next" }>["gather"];
  readonly results: (StageResultValue | undefined)[];
  open: number;
}

export interface BranchStart {
  readonly item: StagedItem;
  readonly input: StageInput;
  readonly place: Place | null;
  readonly nowMs: number;
}

export function startBranch({ item, input, place, nowMs }: BranchStart): Branch {
  return {
    item,
    stage: input.stage,
    input,
    place,
    cost: input.cost,
    makesBytes: input.makesBytes ?? 0,
    isFirst: place === null,
    sinceMs: nowMs,
    group: null,
  };
}

export type BranchEnd =
  /** Others of its item are still missing. */
  | { readonly kind: "open" }
  | { readonly kind: "next"; readonly branches: readonly Branch[] }
  /** The item's own. */
  | { readonly kind: "result"; readonly result: StageResultValue };

/** Puts the result where it belongs. Throws nothing: what a program's code throws is the input's failure. */
export function endBranch(
  branch: Branch,
  result: StageResult,
  { stages, nowMs }: { readonly stages: number; readonly nowMs: number },
): BranchEnd {
  switch (result.kind) {
    case "done":
      return settle(branch.place, { ok: true, value: result.value });
    case "failed":
      return settle(branch.place, { ok: false, error: result.error });
    case "next": {
      const { inputs, gather } = result;
      const wrong = inputs.map((input) => problemOf(input, stages)).find((why) => why !== null);
      if (wrong !== undefined) return settle(branch.place, { ok: false, error: new Error(wrong) });
      const fork: Fork = { place: branch.place, gather, results: [], open: inputs.length };
      if (inputs.length === 0) return settle(fork.place, gathered(fork));
      const { item } = branch;
      const branches = inputs.map((input, index) =>
        startBranch({ item, input, place: { fork, index }, nowMs }),
      );
      return { kind: "next", branches };
    }
  }
}

/** Why the engine cannot run it, or null: a program's bug is its item's failure. */
export function problemOf(
  { stage, cost, makesBytes = 0 }: StageInput,
  stages: number,
): string | null {
  if (!Number.isInteger(stage) || stage < 0 || stage >= stages) return `there is no stage ${stage}`;
  const { units, width, rows, bytes } = cost;
  const isBad = [units, width, rows, bytes, makesBytes].some(
    (value) => !(value >= 0 && value < Infinity),
  );
  return isBad ? `an input of stage ${stage} has a cost that is none` : null;
}

/** Upwards from fork to fork, as far as nothing is missing. */
function settle(from: Place | null, first: StageResultValue): BranchEnd {
  let place = from;
  let result = first;
  while (place !== null) {
    const { fork, index } = place;
    fork.results[index] = result;
    fork.open -= 1;
    if (fork.open > 0) return { kind: "open" };
    result = gathered(fork);
    place = fork.place;
  }
  return { kind: "result", result };
}

function gathered({ results, gather }: Fork): StageResultValue {
  try {
    return { ok: true, value: gather(results as readonly StageResultValue[]) };
  } catch (error) {
    return { ok: false, error };
  }
}
