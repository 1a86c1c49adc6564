/** What a reader wants to know of a profile first, and its frames for a drawing. */
import {
  type ProfiledOperator,
  type ProfileFrameKind,
  type ProfileNode,
  profileFrameKinds,
  type SampledProfile,
} from "millrace-client/wire";
import type { FlameFrame } from "./flame.js";

export interface ProfileSummary {
  /** Of the sampled time, by kind; together 1. */
  readonly shares: Readonly<Record<ProfileFrameKind, number>>;
  /** The most expensive first, idle not among them. What the runtime does inside of a call into it is that call's. */
  readonly functions: readonly FunctionTime[];
  /** Of all graphs, the most expensive first. */
  readonly operators: readonly OperatorTime[];
}

export interface OperatorTime extends ProfiledOperator {
  readonly graph: string;
  /** Of the runs of all graphs. */
  readonly share: number;
}

export interface FunctionTime {
  readonly name: string;
  readonly place: string;
  readonly selfMs: number;
  readonly share: number;
}

export function summaryOf(profile: SampledProfile, listedMax = 10): ProfileSummary {
  const { nodes } = profile;
  const wholeMs = Math.max(
    nodes.reduce((sum, { selfMs }) => sum + selfMs, 0),
    Number.MIN_VALUE,
  );
  const sharesMs = { javascript: 0, node: 0, collection: 0, runtime: 0, kernel: 0, idle: 0 };
  const sums = new Map<string, FunctionTime>();
  const calls: ProfileNode[] = [];
  for (const node of nodes) {
    const { kind, parent, selfMs } = node;
    const caller = nodes[parent];
    const isInside = caller?.kind === "runtime" || caller?.kind === "kernel";
    const call = isInside ? (calls[parent] ?? node) : node;
    calls.push(call);
    sharesMs[kind] += selfMs;
    if (kind === "idle" || selfMs === 0) continue;
    const { name } = call;
    const place = placeOf(call);
    const key = JSON.stringify([name, place]);
    const all = selfMs + (sums.get(key)?.selfMs ?? 0);
    sums.set(key, { name, place, selfMs: all, share: all / wholeMs });
  }
  const functions = [...sums.values()]
    .sort((left, right) => right.selfMs - left.selfMs)
    .slice(0, listedMax);
  const shares = { ...sharesMs };
  for (const kind of profileFrameKinds) shares[kind] = sharesMs[kind] / wholeMs;
  return { shares, functions, operators: operatorsOf(profile, listedMax) };
}

function operatorsOf({ graphs }: SampledProfile, listedMax: number): readonly OperatorTime[] {
  const wholeMs = Math.max(
    graphs.reduce((sum, { ms }) => sum + ms, 0),
    Number.MIN_VALUE,
  );
  return graphs
    .flatMap(({ graph, operators }) =>
      operators.map((each) => ({ ...each, graph, share: each.ms / wholeMs })),
    )
    .sort((left, right) => right.ms - left.ms)
    .slice(0, listedMax);
}

/** `src/front/ask.ts:40`; empty where it is in no file. */
function placeOf({ file, line }: ProfileNode): string {
  return file === "" || line === 0 ? file : `${file}:${line}`;
}

/** As `drawFlame` takes it. */
export function framesOf({ nodes }: SampledProfile): FlameFrame {
  interface Growing extends FlameFrame {
    ms: number;
    readonly children: Growing[];
  }
  const frames = nodes.map((node): Growing => {
    const name = `${node.name} ${placeOf(node)}`.trim();
    return { name, kind: node.kind, ms: node.selfMs, children: [] };
  });
  // From the last one: what a function called is whole before it is added to it.
  for (let at = frames.length - 1; at > 0; at -= 1) {
    const [frame, parent] = [frames[at], frames[nodes[at]?.parent ?? -1]];
    if (frame === undefined || parent === undefined) continue;
    parent.ms += frame.ms;
    parent.children.unshift(frame);
  }
  return frames[0] ?? { name: "all", kind: "node", ms: 0, children: [] };
}
