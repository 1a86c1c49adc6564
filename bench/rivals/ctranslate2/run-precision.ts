/** All cases of one precision: short sentences, long ones, and those that have a reference. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { readGeneration } from "../../../test/support/read-generation.js";
import type { Report } from "../../harness/report.js";
import { linesOf, readReference, sentenceSet, shortTexts } from "../sentences.js";
import { cases } from "./cases.js";
import { runMemory, runOutputs } from "./extras.js";
import { Fleet } from "./fleet.js";
import { type CaseResult, type CaseRun, runCase } from "./run-case.js";
import type { Flags } from "./settings.js";

export interface Models {
  /** Millrace's folder, and CTranslate2's. */
  readonly modelDir: string;
  readonly rivalDir: string;
  readonly computeType: "int8" | "float32";
}

export interface PrecisionRun extends Models {
  readonly report: Report;
  readonly values: Flags;
  /** For whatever is written. */
  readonly dir: string;
  readonly precision: string;
}

interface Texts {
  readonly from: string;
  readonly texts: readonly string[];
}

export async function runPrecision(run: PrecisionRun): Promise<CaseResult[]> {
  const { report, values } = run;
  const wanted = new Set(values.cases.split(","));
  const results: CaseResult[] = [];
  for (const set of values.sets.split(",")) {
    const from = textsOf(set, values);
    if (typeof from === "string") report.say(`${set}: left out, ${from}`);
    else results.push(...(await runSet(run, { name: set, ...from }, wanted)));
  }
  if (wanted.has("outputs")) await compareOutputs(run);
  return results;
}

async function runSet(
  run: PrecisionRun,
  from: Texts & { readonly name: string },
  wanted: ReadonlySet<string>,
): Promise<CaseResult[]> {
  const { report, values, precision } = run;
  const chosen = cases.filter(({ name }) => wanted.has(name));
  const usual = Number(values.count);
  const most = Math.max(
    usual,
    ...chosen.map(({ count, share }) => count ?? Math.ceil(usual * share)),
  );
  const results: CaseResult[] = [];
  const set = await setOf(run, from, most);
  await using fleet = fleetOf(run, set);
  const title = `${precision} ${set.name}`;
  report.say(`\n${title}: ${set.from}; of ${usual}: ${lengthsOf(set.ids.slice(0, usual))}`);
  const caseRun = caseRunOf(run, fleet, title);
  for (const spec of chosen) results.push(await runCase(spec, caseRun));
  if (wanted.has("memory")) await runMemory(caseRun);
  checkWays(results);
  return results;
}

/** The model's own held-out sentences, with what transformers makes of them. */
async function compareOutputs(run: PrecisionRun): Promise<void> {
  const { report, values, precision, modelDir } = run;
  const reference = readReference(values.source);
  if (reference === null) return report.say(`outputs: left out, ${values.source} has none`);
  const texts = reference.map(({ source }) => source);
  const set = await setOf(run, { name: "reference", from: "", texts }, texts.length);
  await using fleet = fleetOf(run, set);
  const { generation, files } = await readGeneration(modelDir);
  const json = JSON.parse(readFileSync(join(modelDir, files.tokenizer), "utf8")) as object;
  const tokenizer = createTokenizer(json, { clean_up_tokenization_spaces: false });
  await runOutputs(caseRunOf(run, fleet, precision), {
    reference: reference.slice(0, Number(values.outputs)),
    pieceOf: (id) => tokenizer.id_to_token(id) ?? "",
    endTokenId: generation.endTokenId,
  });
}

/** Engine, pool and server say the same of the same sentences. */
function checkWays(results: readonly CaseResult[]): void {
  for (const { work, hash, row } of results) {
    const other = results.find((result) => result.work === work && result.hash !== hash);
    if (other !== undefined) throw new Error(`${work}: other outputs ${row}, and ${other.row}`);
  }
}

function textsOf(set: string, { short, long, source }: Flags): Texts | string {
  if (set === "short") return shortTexts(short, readReference(source));
  if (set !== "long") throw new Error(`no set of sentences ${set}`);
  return existsSync(long) ? { from: long, texts: linesOf(long) } : `there is no ${long}`;
}

async function setOf(
  { dir, modelDir }: PrecisionRun,
  from: Texts & { readonly name: string },
  count: number,
) {
  const { files } = await readGeneration(modelDir);
  return sentenceSet(dir, from, { tokenizerFile: join(modelDir, files.tokenizer), count });
}

function fleetOf(run: PrecisionRun, set: Awaited<ReturnType<typeof setOf>>): Fleet {
  const { values, dir, modelDir, rivalDir, computeType } = run;
  const [rowsMax = 1, batch = 1] = [values.rows, values.batch].map(Number);
  const driver = values.driver ?? "";
  return new Fleet({ modelDir, rivalDir, computeType, set, driver, rowsMax, batch, dir });
}

function caseRunOf({ report, values }: PrecisionRun, fleet: Fleet, title: string): CaseRun {
  const { count, rounds, rows, warm } = values;
  const [sentences = 1, roundCount = 1, rowsMax = 1, warmMax = 0] = [count, rounds, rows, warm].map(
    Number,
  );
  return { report, fleet, title, count: sentences, rounds: roundCount, rowsMax, warmMax };
}

function lengthsOf(ids: readonly (readonly number[])[]): string {
  const lengths = ids.map(({ length }) => length).sort((left, right) => left - right);
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  return `${lengths[0]} to ${lengths.at(-1)} tokens, ${mean.toFixed(1)} on average`;
}
