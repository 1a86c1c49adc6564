/** Plans in which something happens for certain that is rare otherwise. */
import type { RunMode } from "#src/scheduler/types.js";
import type { CallerPlan, FaultKind, OptionsPlan, Plan } from "./plan.js";

export interface Focus {
  /** In the first life of every pipeline. */
  readonly fault?: FaultKind;
  /** Instead of its hello. */
  readonly atHello?: boolean;
  readonly poison?: boolean;
  readonly badItems?: boolean;
  readonly leaves?: boolean;
  readonly deadlines?: boolean;
  readonly stop?: boolean;
  /** Preparing takes longer than a caller waits for a word. */
  readonly longPrepares?: boolean;
  readonly bytes?: boolean;
  /** Looks for hangs often, and finds them soon. */
  readonly impatient?: boolean;
  /** Engines that choose at every token, with more to do than they can. */
  readonly busy?: boolean;
  /** Bulk that waits behind bulk when realtime comes: it is recalled. */
  readonly recalls?: boolean;
  /** The same, and bulk grows old soon. */
  readonly ages?: boolean;
  /** More for seconds than good pipelines can do, and every third caller names a deadline. */
  readonly swamped?: boolean;
  /** Models that do not fit into a pipeline together, all of them asked for. */
  readonly tight?: boolean;
  /** The first of several models cannot be loaded. */
  readonly broken?: "fails" | "is-invalid" | "kills";
  /** The last of several models is served for a while only. */
  readonly gone?: boolean;
  /** The first model is pinned. */
  readonly pinned?: boolean;
  /** A queue for a few items. */
  readonly narrow?: boolean;
}

/** From when on it waits for its frame. */
const waits: ReadonlySet<FaultKind> = new Set(["recalled-too-many"]);

export function focused(plan: Plan, focus: Focus): Plan {
  const { fault, stop, bytes, impatient = false } = focus;
  const { seed, surroundings, models, pipelines } = plan;
  const oneShot = (focus.recalls ?? false) || (focus.ages ?? false);
  if (focus.swamped) return swamped(plan);
  const some = focus.busy || oneShot ? crowd(plan.callers) : plan.callers;
  const several = focus.tight || focus.broken || focus.gone;
  const callers = several ? everyModel(some) : some;
  const mode = oneShot ? "one-shot" : "continuous";
  return {
    ...plan,
    options: focusedOptions(plan.options, focus),
    surroundings: {
      ...surroundings,
      bytes: bytes ?? surroundings.bytes,
      processTimes: impatient || surroundings.processTimes,
    },
    models: focusedModels(models, { focus, mode: focus.busy || oneShot ? mode : null }),
    pipelines:
      fault === undefined
        ? pipelines.map((pipeline) => (focus.tight ? { ...pipeline, ...narrow } : pipeline))
        : pipelines.map((pipeline, at) => ({
            ...pipeline,
            lives: [
              {
                kind: fault,
                when: { frame: focus.atHello ? 0 : 3 + (waits.has(fault) ? 0 : (seed + at) % 6) },
              },
            ],
          })),
    callers: callers.map((caller, at) => focusedCaller(caller, { at: seed + at, focus })),
    stop: stop ? { atMs: 90 + (seed % 100), drainMs: seed % 2 } : plan.stop,
  };
}

function swamped(plan: Plan): Plan {
  const options = { ageLimitMs: 100, queuedItemsMax: 1_000_000, queuedBytesMax: 1_000_000 };
  const callers = Array.from({ length: 4 }, () => crowd(plan.callers)).flat();
  return {
    ...plan,
    options: { ...plan.options, ...options, policy: "millrace" },
    models: plan.models.map((model) => ({ ...model, goneAtMs: null, broken: "no" })),
    pipelines: plan.pipelines.map((pipeline) => ({ ...pipeline, lives: [] })),
    callers: callers.map((caller, at) => {
      const terms = { model: plan.models[0]?.name ?? caller.model, prepareMs: 0, tenant: "x" };
      const timeoutMs = at % 3 === 0 ? 1 + (at % 500) : null;
      return { ...caller, ...terms, timeoutMs, atMs: 100 + ((at * 37) % 4_000) };
    }),
    stop: null,
  };
}

const narrow = { modelMemoryBytesMax: 40, lives: [] };

function focusedModels(
  models: Plan["models"],
  { focus, mode }: { readonly focus: Focus; readonly mode: RunMode | null },
): Plan["models"] {
  const { tight = false, broken, gone = false, pinned = false } = focus;
  const [first] = models;
  const all = tight || broken || gone ? ["a", "b", "c", "d"] : models.map(({ name }) => name);
  return all.flatMap((name, at) => {
    const model = models[at] ?? first;
    if (model === undefined) return [];
    const keep = pinned ? (at === 0 ? "pinned" : "on-demand") : model.keep;
    return [
      {
        ...model,
        name,
        mode: mode ?? model.mode,
        keep: tight && !pinned ? "on-demand" : keep,
        ...(tight ? { bytes: 20, growsBytes: 20, leastBytes: 10, loadMs: 60, goneAtMs: null } : {}),
        ...(broken ? { broken: at === 0 ? broken : "no" } : tight ? { broken: "no" } : {}),
        ...(gone && at === all.length - 1 ? { goneAtMs: 130 } : {}),
      } as const,
    ];
  });
}

function focusedOptions(
  options: OptionsPlan,
  { impatient, narrow, busy, recalls, ages }: Focus,
): OptionsPlan {
  const queue = narrow ? { queuedItemsMax: 3, queuedBytesMax: 120 } : {};
  const looks = {
    checkMs: 50,
    hangFloorMs: 100,
    hangFactor: 2,
    stillChecksMax: 2,
    runMsMax: 60_000,
  };
  return {
    ...options,
    ...(impatient ? looks : {}),
    ...(ages ? { policy: "millrace", ageLimitMs: 10, queuedItemsMax: 1_000_000 } : {}),
    ...(recalls ? { policy: "millrace", ageLimitMs: 2_000, queuedItemsMax: 1_000_000 } : {}),
    ...(busy ? { prefetchRows: 16, queuedItemsMax: 1_000_000, queuedBytesMax: 1_000_000 } : queue),
  };
}

/** Each caller eight times, all at about the same time, with long items. */
function crowd(callers: readonly CallerPlan[]): CallerPlan[] {
  return callers.flatMap((caller, at) =>
    Array.from({ length: 8 }, (_, copy): CallerPlan => {
      const inputs = caller.inputs.map((input) => ({
        ...input,
        pieces: input.pieces.map((piece) => ({ ...piece, width: 40 + 20 * ((at + copy) % 3) })),
      }));
      const atMs = 100 + 2 * copy + (caller.atMs % 10);
      return { ...caller, atMs, class: copy % 2 === 0 ? "realtime" : "bulk", leave: null, inputs };
    }),
  );
}

/** Each caller for each model, some time apart. */
function everyModel(callers: readonly CallerPlan[]): CallerPlan[] {
  return callers.slice(0, 12).flatMap((caller, at) =>
    ["a", "b", "c", "d"].map((model, copy) => {
      const atMs = 100 + 40 * copy + 5 * at + (caller.atMs % 10);
      return { ...caller, model, atMs, leave: null, timeoutMs: null };
    }),
  );
}

const bad = ["bad-value", "breaks-run", "good"] as const;

function focusedCaller(
  caller: CallerPlan,
  { at, focus }: { readonly at: number; readonly focus: Focus },
): CallerPlan {
  const { poison, badItems, leaves, deadlines, longPrepares } = focus;
  const wait = (leaves || deadlines) && at % 2 === 0;
  const inputs = caller.inputs.map((input, number) => ({
    ...input,
    pieces: input.pieces.map((piece) => ({
      ...piece,
      poison:
        poison && (at + number) % 3 === 0
          ? ({ end: "exit", onlyInCompany: false } as const)
          : piece.poison,
      answer: badItems ? (bad[at % 3] ?? "good") : piece.answer,
    })),
  }));
  const moments = [
    { moment: "when-sent", nth: 1 },
    { moment: "when-running", nth: 1 },
    { moment: "later", afterMs: at % 13 },
    null,
  ] as const;
  return {
    ...caller,
    inputs,
    leave: leaves ? (moments[at % 4] ?? null) : caller.leave,
    prepareMs: longPrepares ? 12_000 : wait ? 10 : caller.prepareMs,
    timeoutMs: deadlines ? 1 + ((at * 7) % 40) : caller.timeoutMs,
  };
}
