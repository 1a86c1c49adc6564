/**
 * A schedule is data: who comes when with what, what goes wrong where, and how it ends. The world (world.ts) plays it; what
 * is data can also be made smaller while it still breaks the same rule (shrink.ts).
 */
import type { PipelineKind, WorkClass } from "millrace-client/wire";
import type { PolicyName } from "#src/scheduler/policy.js";
import type { Keep, RunMode } from "#src/scheduler/types.js";

/** What a child sends that no child may send. */
export const lieKinds = [
  "torn",
  "flipped",
  "garbage",
  "field-wrong",
  "channel-closed",
  "frame-twice",
  "outcome-unknown",
  "outcome-of-another",
  "outcome-after-end",
  "recalled-unasked",
  "recalled-too-many",
  "loaded-unasked",
  "run-of-too-many",
] as const;

export const faultKinds = [
  // Ends.
  "exit",
  "segfault",
  "killed-from-outside",
  "out-of-memory",
  "ends-unkillable",
  "spawn-fails",
  // Silences.
  "hang-still",
  "hang-busy",
  "stopped-from-outside",
  "never-loaded",
  "dies-loading",
  "load-fails",
  "wrong-version",
  "stop-ignored",
  ...lieKinds,
  // Slowness, bad values, and frames that come late: none of these may cost the process its life.
  "slow",
  "starved",
  "bad-values",
  "late-frames",
] as const;

export type LieKind = (typeof lieKinds)[number];
export type FaultKind = (typeof faultKinds)[number];

/** What goes wrong in one life of a process, and when: before its nth frame, or so long after its spawn. */
export interface FaultPlan {
  readonly kind: FaultKind;
  readonly when: { readonly frame: number } | { readonly ms: number };
}

export interface PipelinePlan {
  readonly pipelineId: string;
  readonly kind: PipelineKind;
  readonly modelMemoryBytesMax: number;
  readonly bootMs: number;
  /** For its first lives in order; null: a good one. All later lives are good. */
  readonly lives: readonly (FaultPlan | null)[];
}

export interface ModelPlan {
  readonly name: string;
  readonly mode: RunMode;
  readonly keep: Keep;
  readonly rowsMax: number;
  /** As it is expected, and by which the process really grows. */
  readonly bytes: number;
  readonly growsBytes: number;
  /** By its files. */
  readonly leastBytes: number;
  readonly loadMs: number;
  /** No load of it ever goes well: the process lives on, and may say that the folder is at fault, or dies of it. */
  readonly broken: "no" | "fails" | "is-invalid" | "kills";
  /** From then on it is not served any more. */
  readonly goneAtMs: number | null;
}

/** How an item ends the process that runs it, and whether it does so alone too. */
export interface PoisonPlan {
  readonly end: "exit" | "segfault" | "out-of-memory" | "killed-from-outside" | "hang-still";
  readonly onlyInCompany: boolean;
}

export interface PiecePlan {
  readonly units: number;
  readonly width: number;
  readonly rows: number;
  readonly bytes: number;
  readonly batchKey: string;
  readonly poison: PoisonPlan | null;
  /** What comes of it: the last two break the run that it is in, and fit into no frame. */
  readonly answer: "good" | "failed" | "bad-value" | "breaks-run" | "too-large";
}

export interface InputPlan {
  /** Prepare refuses a bad one. */
  readonly bad: boolean;
  readonly pieces: readonly PiecePlan[];
}

/** When a caller leaves: at a time, or inside one of its callbacks or of ours. */
export type Leave =
  | { readonly moment: "before-the-call" }
  | { readonly moment: "in-the-same-turn" }
  | { readonly moment: "later"; readonly afterMs: number }
  | { readonly moment: "when-accepted" }
  | { readonly moment: "at-an-outcome"; readonly nth: number }
  | { readonly moment: "when-sent"; readonly nth: number }
  | { readonly moment: "when-running"; readonly nth: number }
  /** In the callback of the caller before. */
  | { readonly moment: "at-anothers-outcome"; readonly nth: number }
  /** Does not leave: its callback throws, at its nth outcome or, 0, when it is accepted. */
  | { readonly moment: "callback-throws"; readonly nth: number };

export interface CallerPlan {
  readonly atMs: number;
  readonly model: string;
  readonly class: WorkClass | null;
  readonly tenant: string;
  /** From its arrival; null: none. */
  readonly timeoutMs: number | null;
  readonly payloadBytes: number;
  readonly prepareMs: number;
  readonly leave: Leave | null;
  readonly inputs: readonly InputPlan[];
}

export interface OptionsPlan {
  readonly policy: PolicyName;
  readonly realtimeTargetMs: number;
  readonly ageLimitMs: number;
  readonly prefetchRows: number;
  readonly bulkThreshold: number;
  readonly sliceItemsMax: number;
  readonly queuedItemsMax: number;
  readonly queuedBytesMax: number;
  readonly attemptsMax: number;
  readonly checkMs: number;
  readonly hangFloorMs: number;
  readonly hangFactor: number;
  readonly stillChecksMax: number;
  readonly runMsMax: number;
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly killTimeoutMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  readonly loadBackoffMinMs: number;
  readonly loadBackoffMaxMs: number;
}

/** What surrounds the rooms. */
export interface SurroundingsPlan {
  /** Frames really become bytes, cut anywhere. */
  readonly bytes: boolean;
  readonly latencyMs: number;
  /** How late the rooms' timers run at most. */
  readonly lateMsMax: number;
  /** Whether processor time and the kernel's counter of kills can be read. */
  readonly processTimes: boolean;
  readonly killCounter: boolean;
  /** Times at which the rooms' own process stands still, and for how long. */
  readonly pauses: readonly { readonly atMs: number; readonly ms: number }[];
}

export interface Plan {
  readonly seed: number;
  readonly options: OptionsPlan;
  readonly surroundings: SurroundingsPlan;
  readonly models: readonly ModelPlan[];
  readonly pipelines: readonly PipelinePlan[];
  readonly callers: readonly CallerPlan[];
  /** Null: only when all is done. */
  readonly stop: { readonly atMs: number; readonly drainMs: number } | null;
}

export function isLie(kind: FaultKind): kind is LieKind {
  return (lieKinds as readonly FaultKind[]).includes(kind);
}

/** One line for each thing in the plan, for people. */
export function describePlan(plan: Plan): string[] {
  const { seed, options, surroundings, models, pipelines, callers, stop } = plan;
  return [
    `seed ${seed}`,
    `options ${text(options)}`,
    `surroundings ${text(surroundings)}`,
    ...models.map(({ name, ...rest }) => `model ${name}: ${text(rest)}`),
    ...pipelines.map(({ pipelineId, lives, ...rest }) => {
      const faults = lives.map((life) => (life === null ? "good" : text(life))).join(", ");
      return `pipeline ${pipelineId}: ${text(rest)} lives [${faults}]`;
    }),
    ...callers.flatMap(({ inputs, ...caller }, at) => [
      `caller ${at}: ${text(caller)}`,
      ...inputs.map(
        ({ bad, pieces }, input) =>
          `  input ${input}${bad ? " bad" : ""}: ${pieces.map(text).join(" ")}`,
      ),
    ]),
    stop === null ? "no stop until all is done" : `stop ${text(stop)}`,
  ];
}

function text(value: object): string {
  return JSON.stringify(value).replaceAll('"', "");
}
