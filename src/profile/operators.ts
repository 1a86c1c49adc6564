/** What ONNX Runtime did inside of its runs: for a reader, and as frames above the call into it. */
import {
  type ProfiledGraph,
  profiledGraphsMax,
  profiledOperatorsMax,
  profileTextMax,
} from "millrace-client/wire";
import { type CalledFrame, nativeRunName, ownFrame } from "./call-tree.js";
import type { RunEvents } from "./run-events.js";

/** Runs of a graph while it was watched: the runtime wrote down some of them, and the clock was read around all. */
export interface WatchedGraph extends Pick<ProfiledGraph, "graph" | "runs" | "problem"> {
  readonly ms: number;
  /** What the runtime took to write, inside of the calls into it. */
  readonly writingMs: number;
  /** What it took here to read that. */
  readonly readingMs: number;
  readonly events: RunEvents;
}

export function profiledGraphs(watched: readonly WatchedGraph[]): readonly ProfiledGraph[] {
  return [...watched]
    .sort((left, right) => right.ms - left.ms)
    .slice(0, profiledGraphsMax)
    .map((each) => {
      const { graph, runs, ms, writingMs, readingMs, problem, events } = each;
      const scale = scaleOf(each);
      const operators = [...events.operators]
        .map(([operator, sum]) => ({
          operator: operator.slice(0, profileTextMax),
          calls: sum.calls / Math.max(1, events.runs),
          ms: scale * sum.ms,
        }))
        .sort((left, right) => right.ms - left.ms)
        .slice(0, profiledOperatorsMax);
      return {
        graph: graph.slice(0, profileTextMax),
        runs,
        watchedRuns: events.runs,
        ms,
        watchingMs: writingMs + readingMs,
        operators,
        problem,
      };
    });
}

/** From what was written down to all runs. */
function scaleOf({ ms, events }: WatchedGraph): number {
  return events.runsMs > 0 ? ms / events.runsMs : 0;
}

/** The time of the calls into the runtime is divided among graphs as the clock around them says, and in a graph as the runtime says. */
export function addOperators(root: CalledFrame, watched: readonly WatchedGraph[]): void {
  const wholeMs = watched.reduce((sum, { ms, writingMs }) => sum + ms + writingMs, 0);
  if (wholeMs === 0) return;
  for (const run of runsIn(root)) {
    const factor = run.selfMs / wholeMs;
    run.selfMs = 0;
    for (const each of watched) addGraph(run, each, factor);
    const writingMs = watched.reduce((sum, each) => sum + each.writingMs, 0);
    ownFrame(run, "its profiler", "runtime").selfMs += factor * writingMs;
  }
}

function runsIn(frame: CalledFrame): readonly CalledFrame[] {
  if (frame.name === nativeRunName) return [frame];
  return [...frame.children.values()].flatMap(runsIn);
}

function addGraph(run: CalledFrame, watched: WatchedGraph, factor: number): void {
  const { graph, ms, events } = watched;
  const scale = factor * scaleOf(watched);
  const frame = ownFrame(run, graph, "runtime");
  let kernelsMs = 0;
  for (const [operator, sum] of events.operators) {
    const kernels = ownFrame(frame, operator, "kernel");
    for (const [node, nodeMs] of sum.nodes)
      ownFrame(kernels, node === "" ? "(no name)" : node, "kernel").selfMs += scale * nodeMs;
    kernelsMs += scale * sum.ms;
  }
  frame.selfMs += Math.max(0, factor * ms - kernelsMs);
}
