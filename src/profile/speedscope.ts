/** The file format of https://www.speedscope.app: a profile as samples, each a stack with its weight. */
import type { ProfileNode, SampledProfile } from "millrace-client/wire";

export interface SpeedscopeFile {
  readonly $schema: "https://www.speedscope.app/file-format-schema.json";
  readonly name: string;
  readonly exporter: "millrace";
  readonly activeProfileIndex: 0;
  readonly shared: { readonly frames: readonly SpeedscopeFrame[] };
  readonly profiles: readonly [
    {
      readonly type: "sampled";
      readonly name: string;
      readonly unit: "milliseconds";
      readonly startValue: 0;
      readonly endValue: number;
      /** Places in `frames`, the outermost caller first. */
      readonly samples: readonly (readonly number[])[];
      readonly weights: readonly number[];
    },
  ];
}

interface SpeedscopeFrame {
  readonly name: string;
  readonly file?: string;
  readonly line?: number;
}

export function speedscopeOf(name: string, { nodes }: SampledProfile): SpeedscopeFile {
  const frames: SpeedscopeFrame[] = [];
  const places = new Map<string, number>();
  const stacks: (readonly number[])[] = [];
  const samples: (readonly number[])[] = [];
  const weights: number[] = [];
  for (const node of nodes) {
    const below = stacks[node.parent] ?? [];
    // The root is nobody's function.
    const stack = node.parent === -1 ? [] : [...below, placeOf(node)];
    stacks.push(stack);
    if (node.selfMs <= 0) continue;
    samples.push(stack);
    weights.push(node.selfMs);
  }
  const endValue = weights.reduce((sum, weight) => sum + weight, 0);
  return {
    $schema: "https://www.speedscope.app/file-format-schema.json",
    name,
    exporter: "millrace",
    activeProfileIndex: 0,
    shared: { frames },
    profiles: [
      { type: "sampled", name, unit: "milliseconds", startValue: 0, endValue, samples, weights },
    ],
  };

  function placeOf({ name: functionName, file, line }: ProfileNode): number {
    const key = JSON.stringify([functionName, file, line]);
    const found = places.get(key);
    if (found !== undefined) return found;
    places.set(key, frames.length);
    frames.push({ name: functionName, ...(file !== "" && { file }), ...(line > 0 && { line }) });
    return frames.length - 1;
  }
}
