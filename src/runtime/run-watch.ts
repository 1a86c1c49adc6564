/**
 * What ONNX Runtime does inside of its runs, while somebody wants to know. The runtime writes down whichever run is told to, of the
 * sessions that are there: nothing is loaded again. Writing a run down and reading that takes about as long as a short run, so
 * it is done to few of them, and the clock is read around all.
 */
import type { WatchedGraph } from "../profile/operators.js";
import { RunEvents } from "../profile/run-events.js";
import { messageOf } from "../work/thrown.js";
import type { RunWatcher } from "./native/native-session.js";
import type { Handle } from "./native/ort-api.js";
import { removeLeftRuns, WrittenRun } from "./native/written-run.js";

/** Runs that are written down take so much of the time at most, beside the first ones of each graph. */
const watchedShareMax = 1 / 20;
/** One run may have been interrupted: it says little. */
const firstRuns = 4;

interface GrowingGraph extends WatchedGraph {
  runs: number;
  ms: number;
  writingMs: number;
  readingMs: number;
  problem: string | null;
}

export class RunWatch {
  #graphs: Map<string, GrowingGraph> | null = null;
  /** Before that no run is written down but the first ones of a graph. */
  #dueAtMs = 0;

  /** Begins anew where it has begun before. */
  start(): void {
    removeLeftRuns();
    this.#graphs = new Map();
    this.#dueAtMs = 0;
  }

  /** What was seen since `start`; nothing where that never was. */
  stop(): readonly WatchedGraph[] {
    const graphs = [...(this.#graphs?.values() ?? [])];
    this.#graphs = null;
    return graphs;
  }

  /** For the session of this graph. */
  graph(name: string): RunWatcher {
    let run: BegunRun | null = null;
    return {
      begin: (): Handle | null => {
        run = this.#begin(name);
        return run?.written?.options ?? null;
      },
      end: () => {
        if (run !== null) this.#end(run);
        run = null;
      },
    };
  }

  #begin(name: string): BegunRun | null {
    if (this.#graphs === null) return null;
    const graph = this.#graphs.get(name) ?? newGraph(name);
    this.#graphs.set(name, graph);
    const isDue = graph.events.runs < firstRuns || performance.now() >= this.#dueAtMs;
    const written = isDue && graph.problem === null ? opened(graph) : null;
    return { graph, written, startedAtMs: performance.now() };
  }

  #end({ graph, written, startedAtMs }: BegunRun): void {
    const endedAtMs = performance.now();
    const tookMs = endedAtMs - startedAtMs;
    graph.runs += 1;
    if (written === null) {
      graph.ms += tookMs;
      return;
    }
    const runMs = Math.min(read(graph, written) ?? tookMs, tookMs);
    graph.ms += runMs;
    graph.writingMs += tookMs - runMs;
    const readAtMs = performance.now();
    graph.readingMs += readAtMs - endedAtMs;
    this.#dueAtMs = readAtMs + (readAtMs - startedAtMs) * (1 / watchedShareMax - 1);
  }
}

interface BegunRun {
  readonly graph: GrowingGraph;
  /** Null: as any other run. */
  readonly written: WrittenRun | null;
  readonly startedAtMs: number;
}

function newGraph(graph: string): GrowingGraph {
  const sums = { runs: 0, ms: 0, writingMs: 0, readingMs: 0, problem: null };
  return { graph, ...sums, events: new RunEvents() };
}

function opened(graph: GrowingGraph): WrittenRun | null {
  try {
    return new WrittenRun();
  } catch (error) {
    graph.problem = problemOf(error);
    return null;
  }
}

/** Milliseconds of the run by the runtime's own clock; null where that cannot be read. */
function read(graph: GrowingGraph, written: WrittenRun): number | null {
  using run = written;
  try {
    return graph.events.add(run.read());
  } catch (error) {
    graph.problem = problemOf(error);
    return null;
  }
}

/** What failed with a file has its path in the message, and that stays on the machine. */
function problemOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  if (typeof code === "string") return `no temporary file could be written and read: ${code}`;
  return `what the runtime wrote cannot be read: ${messageOf(error)}`.slice(0, 120);
}
