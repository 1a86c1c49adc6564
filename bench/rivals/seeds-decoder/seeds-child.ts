/** A child of benchmarks: the seeds' way of decoding, resident. Its argument is a `SeedsSpec`; it is asked `Turn`s. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readGeneration } from "../../../test/support/read-generation.js";
import { type OperatorTime, sessionTimes } from "../../harness/operator-times.js";
import { answerLines } from "../line-process.js";
import { tokenizerOf } from "../tokenizer.js";
import type { Turn, TurnResult } from "../turn.js";
import { openRivalSession } from "./profile.js";
import { SeedsModel } from "./seeds-model.js";

export interface SeedsSpec {
  /** Millrace's float32 folder: manifest, tokenizer and encoder. */
  readonly modelDir: string;
  readonly decoder: string;
  readonly idsFile: string;
  /** 0: as many as there are cores. */
  readonly threads: number;
  /** Sentences of a batch. */
  readonly batch: number;
  /** Where profiles are written; null: none is made. Of the first turn alone. */
  readonly profileDir: string | null;
}

export interface SeedsResult extends TurnResult {
  /** Empty where no profile is made. */
  readonly operators: readonly OperatorTime[];
}

const spec = JSON.parse(process.argv[2] ?? "{}") as SeedsSpec;
const manifest = await readGeneration(spec.modelDir);
const { files } = manifest;
const tokenizer = await tokenizerOf(spec.modelDir);
const sentences = JSON.parse(readFileSync(spec.idsFile, "utf8")) as (readonly number[])[];
const sessions = {
  encoder: await openRivalSession(join(spec.modelDir, files.encoder), "encoder", spec),
  decoder: await openRivalSession(spec.decoder, "decoder", spec),
};
const model = new SeedsModel(manifest, sessions);

await answerLines({ ready: true }, async (asked) => await translate(asked as Turn));

async function translate({ mode, beams, count, tokenIds }: Turn): Promise<SeedsResult> {
  const size = mode === "one" ? 1 : spec.batch;
  const all = tokenIds ?? sentences;
  const outputs: (readonly number[])[] = [];
  const startedAtMs = performance.now();
  for (let from = 0; from < count; from += size) {
    const batch = all.slice(from, Math.min(from + size, count));
    outputs.push(...(await model.translate(batch, beams)));
  }
  const seconds = (performance.now() - startedAtMs) / 1_000;
  return {
    seconds,
    sentences: outputs.length,
    tokens: outputs.reduce((sum, ids) => sum + ids.length, 0),
    outputs: outputs.map((ids) => tokenizer.decode(ids).trim()),
    steps: null,
    operators: spec.profileDir === null ? [] : profiled(spec.profileDir),
  };
}

function profiled(profileDir: string): readonly OperatorTime[] {
  sessions.encoder.endProfiling();
  sessions.decoder.endProfiling();
  return sessionTimes(profileDir).operators;
}
