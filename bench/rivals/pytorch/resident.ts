/** PyTorch as a resident translator: resident.py beside this file's source. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { LineProcess } from "../line-process.js";
import type { Translator, Turn, TurnResult } from "../turn.js";

export interface ResidentSpec {
  readonly python: string;
  /** Hugging Face folder. */
  readonly source: string;
  /** JSON: the ids of each sentence. */
  readonly idsFile: string;
  readonly threads: number;
  /** Sentences of a batch. */
  readonly batch: number;
  readonly precision: "f32" | "int8";
  /** transformers' own generate(). */
  readonly transformers: boolean;
  readonly toText: (ids: readonly number[]) => string;
}

export interface PytorchResident extends Translator {
  /** Versions of what runs. */
  readonly version: string;
  /** Of a product of its own, in 1e9 operations a second. */
  readonly gflops: number;
}

interface Answer {
  readonly seconds: number;
  readonly ids: readonly (readonly number[])[];
}

const script = fileURLToPath(
  new URL("../../../../bench/rivals/pytorch/resident.py", import.meta.url),
);

/** Throws where that Python lacks what is asked for, and says what to install. */
export function checkPython(python: string, transformers: boolean): void {
  const needed = transformers ? "torch, transformers" : "torch";
  const { status, stderr, error } = spawnSync(python, ["-c", `import numpy, ${needed}`], {
    encoding: "utf8",
  });
  if (status === 0) return;
  const why = error?.message ?? stderr.trim().split("\n").at(-1) ?? "";
  const how = transformers
    ? "pip install torch transformers, then --python of that environment"
    : "on Debian: apt install python3-torch libopenblas0-openmp; elsewhere pip install torch numpy, then --python of that environment";
  throw new Error(`${python} has no ${needed} (${why}). ${how}`);
}

export async function startResident(spec: ResidentSpec): Promise<PytorchResident> {
  const { python, idsFile, toText, ...rest } = spec;
  const [child, ready] = await LineProcess.start({
    file: python,
    args: [script, JSON.stringify({ ...rest, ids_file: idsFile })],
    env: { ...process.env, ...threadSettings(spec.threads), PYTHONDONTWRITEBYTECODE: "1" },
  });
  const { ready: version, gflops } = JSON.parse(ready) as { ready: string; gflops: number };
  const translate = async (turn: Turn): Promise<TurnResult> => {
    const { seconds, ids } = JSON.parse(await child.ask(JSON.stringify(turn))) as Answer;
    const tokens = ids.reduce((sum, each) => sum + each.length, 0);
    const outputs = ids.map(toText);
    return { seconds, sentences: ids.length, tokens, outputs, ids, steps: null };
  };
  const dispose = () => child[Symbol.asyncDispose]();
  return { version, gflops, pid: child.pid, translate, [Symbol.asyncDispose]: dispose };
}

/** torch.set_num_threads does not reach every BLAS. */
function threadSettings(threads: number): Readonly<Record<string, string>> {
  const names = ["OMP", "MKL", "OPENBLAS", "BLIS"].map((name) => `${name}_NUM_THREADS`);
  return Object.fromEntries(names.map((name) => [name, String(threads)]));
}
