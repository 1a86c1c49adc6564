/** Recordings that are made: of a server whose runs take what they are told to. */
import {
  type RecordedRequest,
  type RecordedRuns,
  type RecordHead,
  type RecordLine,
  recordFormat,
  recordVersion,
} from "millrace-client/wire";
import { Random } from "../sim/random.js";

export function recordedHead(change: Partial<RecordHead> = {}): RecordHead {
  return {
    type: "head",
    format: recordFormat,
    version: recordVersion,
    startedAtMs: 1,
    millrace: "0",
    machine: { cores: 64, threads: 1, memoryBytes: 1e9 },
    options: {
      policy: "millrace",
      realtimeTargetMs: 200,
      ageLimitMs: 10_000,
      prefetchRows: 32,
      queuedItemsMax: 10_000,
      queuedBytesMax: 1e9,
      bulkThreshold: 256,
    },
    pipelines: [{ pipelineId: "p", kind: "shared", modelMemoryBytesMax: 1e9, resident: ["m"] }],
    models: [
      {
        model: "m",
        engine: "generation",
        mode: "continuous",
        keep: "preloaded",
        bytes: 1e6,
        loadMs: 50,
        rowsMax: 64,
        runRowsMax: null,
        learned: {},
      },
    ],
    openRequests: 0,
    ...change,
  };
}

/** Encoding takes 1 ms and 0.1 for each token, a step 2 ms and 0.05 for each row; as many tokens come out as go in. */
export function recordedRuns(atMs: number): RecordedRuns {
  const encode = (rows: number, width: number) => {
    const paddedUnits = rows * width;
    const ms = 1 + 0.1 * paddedUnits;
    return { stage: "encode", runs: 1, rows, units: paddedUnits, paddedUnits, ms, sizes: [] };
  };
  const decode = (rows: number, runs: number) => {
    const [all, ms] = [rows * runs, runs * (2 + 0.05 * rows)];
    const sizes = [[rows, runs, ms] as const];
    return { stage: "decode", runs, rows: all, units: all, paddedUnits: all, ms, sizes };
  };
  const stages = [encode(1, 16), decode(1, 16), encode(8, 16), decode(8, 16)];
  return { type: "runs", atMs, pipelineId: "p", model: "m", busyMs: 0, stages };
}

export function recordedRequest(
  change: Partial<RecordedRequest> & { readonly id: number },
): RecordedRequest {
  return {
    type: "request",
    atMs: 0,
    prepareMs: 0,
    model: "m",
    task: "translate",
    class: "realtime",
    tenant: "t",
    deadlineMs: null,
    isDeadlineNamed: false,
    inputs: 1,
    bytes: 10,
    itemBytes: 10,
    items: [[16, 16, 1, 1]],
    ...change,
  };
}

/** By chance, so many a second for so long; what became of them is not in it. */
export function arrivalsByChance(of: {
  readonly perSecond: number;
  readonly ms: number;
  readonly seed: number;
}): readonly RecordLine[] {
  const random = new Random(of.seed);
  const lines: RecordLine[] = [];
  for (let atMs = 0, id = 1; atMs < of.ms; id += 1) {
    lines.push(recordedRequest({ id, atMs }));
    atMs += random.gap(1_000 / of.perSecond);
  }
  return [...lines, recordedRuns(of.ms), { type: "closed", atMs: of.ms, why: "time" }];
}
