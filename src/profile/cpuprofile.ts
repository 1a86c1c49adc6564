/** The file format of V8's profiler, for the developer tools of a browser and for editors. One sample stands for all of a function's. */
import type { Profiler } from "node:inspector";
import type { SampledProfile } from "millrace-client/wire";

export function cpuProfileOf({ nodes, everyMs }: SampledProfile): Profiler.Profile {
  const children = new Map<number, number[]>();
  for (const [at, { parent }] of nodes.entries()) {
    const list = children.get(parent) ?? [];
    children.set(parent, list);
    list.push(at + 1);
  }
  const seen = nodes.flatMap(({ selfMs }, at) => (selfMs > 0 ? [{ id: at + 1, selfMs }] : []));
  const deltas = seen.map(({ selfMs }) => Math.round(selfMs * 1_000));
  return {
    nodes: nodes.map(({ name, file, line, selfMs }, at) => ({
      id: at + 1,
      callFrame: {
        functionName: at === 0 ? "(root)" : name,
        scriptId: "0",
        url: file,
        lineNumber: line - 1,
        columnNumber: 0,
      },
      hitCount: Math.round(selfMs / everyMs),
      children: children.get(at) ?? [],
    })),
    startTime: 0,
    endTime: deltas.reduce((sum, delta) => sum + delta, 0),
    // A delta stands before its sample, and a sample for the time that follows: one more ends the last one.
    samples: [...seen.map(({ id }) => id), 1],
    timeDeltas: [0, ...deltas],
  };
}
