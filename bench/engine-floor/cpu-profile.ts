/** What this thread did, by V8's own profiler, as frames. */
import { type Profiler, Session } from "node:inspector";
import type { FrameKind } from "../harness/flame.js";

/** A frame that grows: the same function called by the same ones is one, over all profiles. */
export interface CalledFrame {
  readonly name: string;
  readonly kind: FrameKind;
  selfMs: number;
  readonly children: Map<string, CalledFrame>;
}

const samplingMicroseconds = 200;

export function rootFrame(): CalledFrame {
  return { name: "all", kind: "node", selfMs: 0, children: new Map() };
}

/** Runs `work` and adds what it did to `root`. */
export async function profiled<Result>(
  root: CalledFrame,
  work: () => Promise<Result>,
): Promise<Result> {
  const session = new Session();
  session.connect();
  try {
    session.post("Profiler.enable");
    session.post("Profiler.setSamplingInterval", { interval: samplingMicroseconds });
    session.post("Profiler.start");
    const from = nowMicroseconds();
    const result = await work();
    addProfile(root, stopped(session), { from, to: nowMicroseconds() });
    return result;
  } finally {
    session.disconnect();
  }
}

/** By the clock that V8 writes down. */
function nowMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** Its answer comes before `post` returns: both are on this thread. */
function stopped(session: Session): Profiler.Profile {
  let profile: Profiler.Profile | undefined;
  session.post("Profiler.stop", (error, result) => {
    if (error !== null) throw error;
    ({ profile } = result);
  });
  if (profile === undefined) throw new Error("the profiler gave no profile");
  return profile;
}

/** Of the work alone: what the profiler itself needs to start and to end is cut off. */
function addProfile(
  root: CalledFrame,
  { nodes, startTime, samples = [], timeDeltas = [] }: Profiler.Profile,
  work: { readonly from: number; readonly to: number },
): void {
  const selfMs = new Map<number, number>();
  let at = startTime;
  for (const [place, id] of samples.entries()) {
    at += timeDeltas[place] ?? 0;
    // A sample stands for the time until the next one.
    const until = at + (timeDeltas[place + 1] ?? 0);
    const inside = Math.min(until, work.to) - Math.max(at, work.from);
    if (inside > 0) selfMs.set(id, (selfMs.get(id) ?? 0) + inside / 1_000);
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
}

/** Of the call into ONNX Runtime's library: a function without a name or a file, that `NativeSession.run` calls. */
export const nativeRunName = "ONNX Runtime's Run";

function childOf(
  parent: CalledFrame,
  { functionName, url }: Profiler.ProfileNode["callFrame"],
): CalledFrame {
  const [, file = ""] = /([\w.-]+?)(?:\.[cm]?js)?$/.exec(url) ?? [];
  const isRun = url === "" && parent.name === "run native-session";
  const plain = `${functionName === "" ? "(anonymous)" : functionName} ${file}`.trim();
  const name = isRun ? nativeRunName : plain;
  const found = parent.children.get(name);
  if (found !== undefined) return found;
  const kind = isRun ? "runtime" : kindOf(functionName, url, parent.kind);
  const made: CalledFrame = { name, kind, selfMs: 0, children: new Map() };
  parent.children.set(name, made);
  return made;
}

function kindOf(functionName: string, url: string, parent: FrameKind): FrameKind {
  if (functionName === "(garbage collector)") return "collection";
  if (url.startsWith("file:")) return url.includes("/node_modules/") ? "node" : "engine";
  // What the language itself does for whoever called it: sorting, copying.
  return url === "" ? parent : "node";
}

export function totalMs({ selfMs, children }: CalledFrame): number {
  return [...children.values()].reduce((sum, child) => sum + totalMs(child), selfMs);
}
