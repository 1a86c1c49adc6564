/** What a thread did, by V8's own profiler, as a tree of who called whom. */
import type { Profiler } from "node:inspector";
import {
  type ProfileFrameKind,
  type ProfileNode,
  profileNodesMax,
  profileTextMax,
} from "millrace-client/wire";

export type CallPlace = Profiler.ProfileNode["callFrame"];

/** A frame that grows: the same function called by the same ones is one, over all profiles. */
export interface CalledFrame {
  readonly name: string;
  readonly kind: ProfileFrameKind;
  readonly place: CallPlace;
  selfMs: number;
  readonly children: Map<string, CalledFrame>;
}

const nowhere: CallPlace = {
  functionName: "(root)",
  scriptId: "0",
  url: "",
  lineNumber: -1,
  columnNumber: -1,
};

/** Of the call into ONNX Runtime's library: a function without a name or a file, that `NativeSession.runNative` calls. */
export const nativeRunName = "ONNX Runtime's Run";

export function rootFrame(): CalledFrame {
  return { name: "all", kind: "node", place: nowhere, selfMs: 0, children: new Map() };
}

/** In microseconds, by the clock that V8 writes down. */
interface SampledSpan {
  readonly from: number;
  readonly to: number;
}

/**
 * Of the span alone: what the profiler itself needs to start and to end is cut off; and so is what passes until V8's own thread comes to
 * take its first sample, which nobody saw. Returns the milliseconds that were sampled.
 */
export function addProfile(
  root: CalledFrame,
  { nodes, startTime, samples = [], timeDeltas = [] }: Profiler.Profile,
  span: SampledSpan,
): number {
  const selfMs = new Map<number, number>();
  let at = startTime;
  let sampledMs = 0;
  for (const [place, id] of samples.entries()) {
    at += timeDeltas[place] ?? 0;
    // One from before the span shows how the profiler starts, however long it stood alone.
    if (at < span.from) continue;
    // A sample stands for the time until the next one.
    const until = at + (timeDeltas[place + 1] ?? 0);
    const ms = (Math.min(until, span.to) - at) / 1_000;
    if (ms <= 0) continue;
    selfMs.set(id, (selfMs.get(id) ?? 0) + ms);
    sampledMs += ms;
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const add = (into: CalledFrame, node: Profiler.ProfileNode): void => {
    into.selfMs += selfMs.get(node.id) ?? 0;
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) add(childOf(into, child.callFrame), child);
    }
  };
  const [first] = nodes;
  if (first !== undefined) add(root, first);
  return sampledMs;
}

function childOf(parent: CalledFrame, place: CallPlace): CalledFrame {
  const { functionName, url, lineNumber } = place;
  const isRun = url === "" && isNativeRun(parent.place);
  const key = isRun ? nativeRunName : `${functionName} ${lineNumber} ${url}`;
  const found = parent.children.get(key);
  if (found !== undefined) return found;
  const [, file = ""] = /([\w.-]+?)(?:\.[cm]?js)?$/.exec(url) ?? [];
  const plain = `${functionName === "" ? "(anonymous)" : functionName} ${file}`.trim();
  const name = isRun ? nativeRunName : plain;
  const kind = isRun ? "runtime" : kindOf(place, parent.kind);
  const made: CalledFrame = { name, kind, place, selfMs: 0, children: new Map() };
  parent.children.set(key, made);
  return made;
}

/** A frame that is nobody's function: what the runtime says of its own time. */
export function ownFrame(parent: CalledFrame, name: string, kind: ProfileFrameKind): CalledFrame {
  const found = parent.children.get(name);
  if (found !== undefined) return found;
  const place = { ...nowhere, functionName: name };
  const made: CalledFrame = { name, kind, place, selfMs: 0, children: new Map() };
  parent.children.set(name, made);
  return made;
}

// By its name alone: built, it is in one file with much else.
function isNativeRun({ functionName }: CallPlace): boolean {
  return functionName === "runNative";
}

function kindOf({ functionName, url }: CallPlace, parent: ProfileFrameKind): ProfileFrameKind {
  if (functionName === "(garbage collector)") return "collection";
  if (functionName === "(idle)") return "idle";
  if (url.startsWith("file:")) return url.includes("/node_modules/") ? "node" : "javascript";
  // What the language itself does for whoever called it: sorting, copying.
  return url === "" ? parent : "node";
}

export function totalMs({ selfMs, children }: CalledFrame): number {
  return [...children.values()].reduce((sum, child) => sum + totalMs(child), selfMs);
}

/** A function's name for a reader, and where it is. */
export interface ReadablePlace {
  readonly file: string;
  readonly line: number;
}

/**
 * The tree as a list, callers first, at most `nodesMax`: those that took least, with what they called, are left out, and their time is
 * their caller's. So the sum is the same.
 */
export function listed(
  root: CalledFrame,
  placeOf: (place: CallPlace) => ReadablePlace,
  nodesMax: number = profileNodesMax,
): ProfileNode[] {
  const all: { readonly frame: CalledFrame; readonly ms: number }[] = [];
  const visit = (frame: CalledFrame): number => {
    const at = all.length;
    all.push({ frame, ms: 0 });
    const ms = [...frame.children.values()].reduce((sum, each) => sum + visit(each), frame.selfMs);
    all[at] = { frame, ms };
    return ms;
  };
  visit(root);
  // A caller took no less than what it called, and stands before it: where one is kept its callers are.
  const kept = new Set(
    [...all]
      .sort((left, right) => right.ms - left.ms)
      .slice(0, nodesMax)
      .map(({ frame }) => frame),
  );
  const nodes: ProfileNode[] = [];
  const list = (frame: CalledFrame, parent: number): void => {
    const at = nodes.length;
    const children = [...frame.children.values()];
    const left = children.filter((child) => !kept.has(child));
    const selfMs = left.reduce((sum, child) => sum + totalMs(child), frame.selfMs);
    const { file, line } = placeOf(frame.place);
    nodes.push({
      parent,
      name: told(nameOf(frame)),
      file: told(file),
      line,
      kind: frame.kind,
      selfMs,
    });
    for (const child of children) if (kept.has(child)) list(child, at);
  };
  list(root, -1);
  return nodes;
}

function nameOf({ name, place }: CalledFrame): string {
  if (name === nativeRunName || name === "all") return name;
  return place.functionName === "" ? "(anonymous)" : place.functionName;
}

function told(text: string): string {
  return text.length > profileTextMax ? `${text.slice(0, profileTextMax - 1)}…` : text;
}
