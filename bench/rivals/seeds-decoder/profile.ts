/** Sessions of ONNX Runtime that write down what each operator took, and what they wrote, summed up. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
// Before the runtime: it is read when that is loaded.
import "#src/runtime/no-telemetry.js";
import { InferenceSession } from "onnxruntime-node";

export interface SessionChoice {
  /** 0: as many as there are cores. */
  readonly threads: number;
  /** Folder for the profile; null: none is made. */
  readonly profileDir: string | null;
}

/**
 * Threads that spin between runs, for nothing else is to run here; and all optimisations but one, which makes the norms several times as
 * slow on a CPU.
 */
export async function openRivalSession(
  path: string,
  name: string,
  { threads, profileDir }: SessionChoice,
): Promise<InferenceSession> {
  return await InferenceSession.create(path, {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
    enableMemPattern: false,
    logSeverityLevel: 4,
    extra: {
      session: { set_denormal_as_zero: "1" },
      optimization: { disable_specified_optimizers: "SkipLayerNormFusion" },
    },
    ...(profileDir === null
      ? {}
      : { enableProfiling: true, profileFilePrefix: join(profileDir, name) }),
  });
}

export interface OperatorTime {
  readonly operator: string;
  readonly ms: number;
  readonly calls: number;
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Of all profiles of the folder; the most expensive first. */
export function operatorTimes(profileDir: string): readonly OperatorTime[] {
  const sums = new Map<string, { ms: number; calls: number }>();
  for (const file of readdirSync(profileDir).filter((name) => name.endsWith(".json"))) {
    const events = JSON.parse(readFileSync(join(profileDir, file), "utf8")) as ProfileEvent[];
    for (const { cat, name, dur, args } of events) {
      if (cat !== "Node" || !name.endsWith("_kernel_time")) continue;
      const operator = args?.op_name ?? "?";
      const sum = sums.get(operator) ?? { ms: 0, calls: 0 };
      sums.set(operator, { ms: sum.ms + dur / 1_000, calls: sum.calls + 1 });
    }
  }
  return [...sums]
    .map(([operator, sum]) => ({ operator, ...sum }))
    .sort((left, right) => right.ms - left.ms);
}
