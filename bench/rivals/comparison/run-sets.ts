/** All cases of one precision, with short sentences and with long ones. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readGeneration } from "../../../test/support/read-generation.js";
import type { Report } from "../../harness/report.js";
import { readLines } from "../../serving/lines.js";
import { readReference, type SentenceSet, sentenceSet, shortTexts } from "../sentences.js";
import type { CaseSpec } from "./case-spec.js";
import { Fleet } from "./fleet.js";
import type { Rival } from "./rival.js";
import { type CaseResult, type CaseRun, runCase } from "./run-case.js";
import type { ComparisonFlags } from "./settings.js";

export interface PrecisionRun {
  readonly report: Report;
  readonly rival: Rival;
  readonly values: ComparisonFlags;
  /** Those among them that `--cases` names are run. */
  readonly cases: readonly CaseSpec[];
  readonly precision: string;
  /** Millrace's folder of that precision. */
  readonly modelDir: string;
  /** For whatever is written. */
  readonly dir: string;
}

interface Texts {
  readonly name: string;
  readonly from: string;
  readonly texts: readonly string[];
}

/** `more`: what is measured with each set after its cases. */
export async function runSets(
  run: PrecisionRun,
  more: (run: CaseRun) => Promise<void>,
): Promise<CaseResult[]> {
  const { report, values } = run;
  const results: CaseResult[] = [];
  for (const name of values.sets.split(",")) {
    const from = textsOf(name, values);
    if (typeof from === "string") report.say(`${name}: left out, ${from}`);
    else results.push(...(await runSet(run, { name, ...from }, more)));
  }
  return results;
}

async function runSet(
  run: PrecisionRun,
  from: Texts,
  more: (run: CaseRun) => Promise<void>,
): Promise<CaseResult[]> {
  const { report, values, precision } = run;
  const wanted = values.cases.split(",");
  const chosen = run.cases.filter(({ name }) => wanted.includes(name));
  const usual = Number(values.count);
  const most = Math.max(
    usual,
    ...chosen.map(({ count, share }) => count ?? Math.ceil(usual * share)),
  );
  const set = await setOf(run, from, most);
  await using fleet = fleetOf(run, set);
  const title = `${precision} ${set.name}`;
  report.say(`\n${title}: ${set.from}; of ${usual}: ${lengthsOf(set.ids.slice(0, usual))}`);
  const caseRun = caseRunOf(run, fleet, title);
  const results: CaseResult[] = [];
  for (const spec of chosen) results.push(await runCase(spec, caseRun));
  await more(caseRun);
  checkWays(results);
  return results;
}

/** Engine, pool and server say the same of the same sentences. */
function checkWays(results: readonly CaseResult[]): void {
  for (const { work, hash, row } of results) {
    const other = results.find((result) => result.work === work && result.hash !== hash);
    if (other !== undefined) throw new Error(`${work}: other outputs ${row}, and ${other.row}`);
  }
}

function textsOf(
  set: string,
  { short, long, source }: ComparisonFlags,
): Omit<Texts, "name"> | string {
  if (set === "short") return shortTexts(short, readReference(source));
  if (set !== "long") throw new Error(`no set of sentences ${set}`);
  return existsSync(long) ? { from: long, texts: readLines(long) } : `there is no ${long}`;
}

export async function setOf(
  { dir, modelDir }: PrecisionRun,
  from: Texts,
  count: number,
): Promise<SentenceSet> {
  const { files } = await readGeneration(modelDir);
  return sentenceSet(dir, from, { tokenizerFile: join(modelDir, files.tokenizer), count });
}

export function fleetOf({ values, rival, dir, modelDir }: PrecisionRun, set: SentenceSet): Fleet {
  return new Fleet({ rival, modelDir, set, rowsMax: Number(values.rows), dir });
}

export function caseRunOf({ report, values }: PrecisionRun, fleet: Fleet, title: string): CaseRun {
  const { count, rounds, rows, warm } = values;
  return {
    report,
    fleet,
    title,
    count: Number(count),
    rounds: Number(rounds),
    rowsMax: Number(rows),
    warmMax: Number(warm),
  };
}

function lengthsOf(ids: readonly (readonly number[])[]): string {
  const lengths = ids.map(({ length }) => length).sort((left, right) => left - right);
  const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  return `${lengths[0]} to ${lengths.at(-1)} tokens, ${mean.toFixed(1)} on average`;
}
