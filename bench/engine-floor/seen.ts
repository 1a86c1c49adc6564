/** What both profilers saw, put together: as tables, and as the frames of a flame graph. */

import { type CalledFrame, nativeRunName, totalMs } from "#src/profile/call-tree.js";
import type { FlameFrame } from "#src/profile/flame.js";
import type { SessionTimes } from "../harness/operator-times.js";
import type { Report } from "../harness/report.js";
import { ratios } from "../harness/report.js";
import type { Sides } from "./profiled-model.js";

export interface Seen {
  /** Of the model. */
  readonly name: string;
  /** Of all passes together. */
  readonly root: CalledFrame;
  readonly sessions: Sides<SessionTimes>;
  readonly passes: number;
  /** One value of each pass. */
  readonly passMs: Readonly<Record<"plain" | "watched", readonly number[]>>;
}

const functionsShown = 12;

export function tellSeen(report: Report, seen: Seen): void {
  const { plain, watched } = seen.passMs;
  report.add("a pass that nobody watches", plain, { unit: "ms" });
  report.add("a pass with both profilers", watched, { unit: "ms" });
  report.add("times as long when watched", ratios(watched, plain));
  const wholeMs = watched.reduce((sum, each) => sum + each, 0);
  const runsMs = selfMsOf(seen.root, ({ name }) => name === nativeRunName);
  const { encoder, decoder } = seen.sessions;
  const ownMs = encoder.runsMs + decoder.runsMs;
  report.say(
    `runs of the runtime: ${(ownMs / seen.passes).toFixed(1)} ms a pass by its own clock, ${(runsMs / seen.passes).toFixed(1)} by V8's`,
  );
  const share = (ms: number) => [
    (ms / seen.passes).toFixed(1),
    `${((100 * ms) / wholeMs).toFixed(1)}%`,
  ];
  report.table({
    title: "Where a watched pass goes",
    columns: ["part", "ms a pass", "share"],
    rows: partsOf(seen, wholeMs).map(({ part, ms }) => [part, ...share(ms)]),
  });
  for (const side of ["encoder", "decoder"] as const) {
    const { operators, runs } = seen.sessions[side];
    report.table({
      title: `Operators of the ${side}, ${(runs / seen.passes).toFixed(1)} runs a pass`,
      columns: ["operator", "ms a pass", "share", "ms a run", "calls a run"],
      rows: operators.map(({ operator, ms, calls }) => [
        operator,
        ...share(ms),
        (ms / runs).toFixed(3),
        (calls / runs).toFixed(1),
      ]),
    });
  }
  report.table({
    title: "Functions outside of the runtime, by what they took themselves",
    columns: ["function", "ms a pass", "share"],
    rows: functionsOf(seen.root)
      .slice(0, functionsShown)
      .map(([name, ms]) => [name, ...share(ms)]),
  });
}

interface Part {
  readonly part: string;
  readonly ms: number;
}

/**
 * Who was on this thread, by V8's clock; the runs of the runtime are divided as the runtime itself divides them. What is left of the pass is
 * what V8 has no sample of.
 */
function partsOf({ root, sessions }: Seen, wholeMs: number): readonly Part[] {
  const runsMs = selfMsOf(root, ({ name }) => name === nativeRunName);
  const { encoder, decoder } = sessions;
  const scale = runsMs / Math.max(encoder.runsMs + decoder.runsMs, Number.MIN_VALUE);
  const runs = (["encoder", "decoder"] as const).flatMap((side): Part[] => [
    { part: `${side}: kernels`, ms: scale * kernelsMs(sessions[side]) },
    { part: `${side}: the runtime around its kernels`, ms: scale * aroundMs(sessions[side]) },
  ]);
  const told = [
    ...runs,
    { part: "Millrace's JavaScript", ms: selfMsOf(root, ({ kind }) => kind === "javascript") },
    { part: "garbage collection", ms: selfMsOf(root, ({ kind }) => kind === "collection") },
    { part: "Node, and idle", ms: selfMsOf(root, ({ kind }) => kind === "node") },
  ];
  const rest = wholeMs - told.reduce((sum, { ms }) => sum + ms, 0);
  return [...told, { part: "not sampled", ms: rest }];
}

function kernelsMs({ operators }: SessionTimes): number {
  return operators.reduce((sum, { ms }) => sum + ms, 0);
}

function aroundMs(times: SessionTimes): number {
  return times.runsMs - kernelsMs(times);
}

function selfMsOf(frame: CalledFrame, wanted: (frame: CalledFrame) => boolean): number {
  const own = wanted(frame) ? frame.selfMs : 0;
  return [...frame.children.values()].reduce((sum, child) => sum + selfMsOf(child, wanted), own);
}

/** The most expensive first. */
function functionsOf(root: CalledFrame): readonly (readonly [string, number])[] {
  const sums = new Map<string, number>();
  const add = (frame: CalledFrame): void => {
    if (frame.name !== nativeRunName) {
      sums.set(frame.name, (sums.get(frame.name) ?? 0) + frame.selfMs);
    }
    for (const child of frame.children.values()) add(child);
  };
  add(root);
  return [...sums].sort(([, left], [, right]) => right - left);
}

/** With the runtime's operators above the call into it. */
export function flameRoot({ root, sessions }: Seen): FlameFrame {
  const drawn = (frame: CalledFrame): FlameFrame => {
    const ms = totalMs(frame);
    const { name, kind } = frame;
    if (name === nativeRunName) return { name, kind, ms, children: runFrames(sessions, ms) };
    return { name, kind, ms, children: [...frame.children.values()].map(drawn) };
  };
  return drawn(root);
}

/** The two clocks differ a little: what the runtime says is its share of what V8 saw. */
function runFrames({ encoder, decoder }: Sides<SessionTimes>, ms: number): readonly FlameFrame[] {
  const scale = ms / Math.max(encoder.runsMs + decoder.runsMs, Number.MIN_VALUE);
  const drawn = (name: string, { operators, runsMs }: SessionTimes): FlameFrame => ({
    name,
    kind: "runtime",
    ms: runsMs * scale,
    children: operators.map(({ operator, ms: operatorMs }) => ({
      name: operator,
      kind: "kernel",
      ms: operatorMs * scale,
      children: [],
    })),
  });
  return [drawn("decoder", decoder), drawn("encoder", encoder)];
}
