/** Sessions of ONNX Runtime that write down what each operator took. */
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
