/**
 * A child of benchmarks: the engine as a pipeline's process has it, alone with the sentences. Its argument is an `EngineSpec`; it is
 * asked `Turn`s and answers with `TurnResult`s.
 */
import { readFileSync } from "node:fs";
import { loadGeneration } from "#src/runtime/generation/load-generation.js";
import { generationPayload, readHypotheses } from "#src/work/generation.js";
import { readGeneration } from "../../test/support/read-generation.js";
import { answerLines } from "./line-process.js";
import { tokenizerOf } from "./tokenizer.js";
import type { Turn, TurnResult } from "./turn.js";

export interface EngineSpec {
  readonly modelDir: string;
  /** JSON: the ids of each sentence; null where each turn brings its own. */
  readonly idsFile: string | null;
  readonly threads: number;
  readonly rowsMax: number;
  /** Where the packed weights are shared, as pipelines share them. */
  readonly cacheDir: string;
}

const spec = JSON.parse(process.argv[2] ?? "{}") as EngineSpec;
const manifest = await readGeneration(spec.modelDir);
const sentences =
  spec.idsFile === null
    ? []
    : (JSON.parse(readFileSync(spec.idsFile, "utf8")) as (readonly number[])[]);
const tokenizer = await tokenizerOf(spec.modelDir);

let outputs: (readonly number[])[] = [];
let begun = 0;
let decodes: { rows: number; begun: number }[] = [];
const engine = await loadGeneration(
  {
    modelDir: spec.modelDir,
    manifest,
    threads: spec.threads,
    rowsMax: spec.rowsMax,
    weightsCache: { dir: spec.cacheDir, bytesMax: 2 ** 40, makeMsMax: 120_000 },
  },
  {
    onRun: ({ stage, rows }) => {
      if (stage === "decode") decodes.push({ rows, begun });
      else begun += rows;
    },
    onOutcomes: (outcomes) => {
      for (const outcome of outcomes) {
        if (!outcome.ok) throw new Error(outcome.message);
        outputs[outcome.itemId] = readHypotheses(outcome.value)?.[0]?.tokenIds ?? [];
      }
    },
  },
);

await answerLines({ ready: true }, async (asked) => await translate(asked as Turn));

async function translate({ mode, beams, count, tokenIds, wantsIds }: Turn): Promise<TurnResult> {
  const { lengthPenalty, maxLength } = manifest.generation;
  const settings = { beams, nBest: 1, lengthPenalty, maxLength };
  const items = (tokenIds ?? sentences).slice(0, count).map((ids, itemId) => ({
    itemId,
    payload: generationPayload({ tokenIds: ids, settings }),
  }));
  outputs = [];
  decodes = [];
  begun = 0;
  const startedAtMs = performance.now();
  const groups = mode === "one" ? items.map((item) => [item]) : [items];
  for (const group of groups) {
    engine.admit(mode === "one" ? "realtime" : "bulk", group);
    while (!engine.idle) await engine.step();
  }
  const seconds = (performance.now() - startedAtMs) / 1_000;
  engine.takeReport();
  const more = decodes.filter((run) => run.begun < items.length);
  return {
    seconds,
    sentences: outputs.length,
    tokens: outputs.reduce((sum, ids) => sum + ids.length, 0),
    outputs: outputs.map((ids) => tokenizer.decode(ids).trim()),
    steps: {
      runs: decodes.length,
      rows: rowsOf(decodes),
      whileMore: { runs: more.length, rows: rowsOf(more) },
    },
    ...(wantsIds === true ? { ids: outputs } : {}),
  };
}

function rowsOf(runs: readonly { readonly rows: number }[]): number {
  return runs.reduce((sum, { rows }) => sum + rows, 0);
}
