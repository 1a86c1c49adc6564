/** What `POST /v1/profile` answers: where the time of one thread of a running server went, function by function. */

/**
 * What a frame is, by which it is coloured and summed up: `javascript` is Millrace's own, `node` is Node and its packages, `collection` is
 * V8's of garbage, `runtime` is a call into ONNX Runtime, without its `kernel`s where operators were asked for.
 */
export const profileFrameKinds = [
  "javascript",
  "node",
  "collection",
  "runtime",
  "kernel",
  "idle",
] as const;
export type ProfileFrameKind = (typeof profileFrameKinds)[number];

export interface ProfileNode {
  /** Place in the list of the function that called it; it stands before. -1: the first one, which is all of the thread. */
  readonly parent: number;
  readonly name: string;
  /** From the root of the package; empty where the function is in no file. */
  readonly file: string;
  /** Where the function begins, from 1; 0 where nobody knows. */
  readonly line: number;
  readonly kind: ProfileFrameKind;
  /** Without what it called. */
  readonly selfMs: number;
}

export interface SampledProfile {
  /** From the first sample to the last one. */
  readonly sampledMs: number;
  /** Between two samples, as asked for. */
  readonly everyMs: number;
  /** For which the thread stood still: while the profiler began, and while it ended. */
  readonly stoodStillMs: { readonly start: number; readonly stop: number };
  readonly nodes: readonly ProfileNode[];
  /** What ONNX Runtime did in its runs; empty where nobody asked for it. */
  readonly graphs: readonly ProfiledGraph[];
}

/** Runs of one graph of a model, and what they were made of. */
export interface ProfiledGraph {
  /** `en-zh decoder`. */
  readonly graph: string;
  readonly runs: number;
  /** Of them; the runtime wrote down what these did, and the others are taken to be like them. */
  readonly watchedRuns: number;
  /** Of all runs, by the clock around them, without what the writing took. */
  readonly ms: number;
  /** What the writing and the reading of it took. */
  readonly watchingMs: number;
  /** The most expensive first; what is left of `ms` is the runtime's around them. */
  readonly operators: readonly ProfiledOperator[];
  /** Why there is nothing of it, or no more; else null. */
  readonly problem: string | null;
}

export interface ProfiledOperator {
  /** The type of its nodes: `MatMul`. */
  readonly operator: string;
  /** Of a run. */
  readonly calls: number;
  /** Of all runs. */
  readonly ms: number;
}

/** Runs of a stage of a model while the profile was taken: the engine's own clock. */
export interface ProfiledStage {
  readonly model: string;
  readonly stage: string;
  readonly runs: number;
  readonly rows: number;
  readonly ms: number;
}

export interface ProfileResponse extends SampledProfile {
  /** `front`: the server's process; else a pipeline. */
  readonly of: string;
  readonly askedMs: number;
  /** Of all pipelines together: runs are reported about once a second. */
  readonly stages: readonly ProfiledStage[];
}

/** Most seconds of one profile, and those of one that nobody said it of. */
export const profileSecondsMax = 60;
export const profileSecondsDefault = 10;

/** Functions that a profile tells apart; what took least is counted with who called it. */
export const profileNodesMax = 2_000;

/** Graphs of one process, and types of operators of one graph, that a profile tells. */
export const profiledGraphsMax = 64;
export const profiledOperatorsMax = 64;

/** Of a name and of a path; what is longer is cut. */
export const profileTextMax = 120;
