/**
 * `npm run bench -- pytorch`: beside what most would write who have a model from Hugging Face: generate() over sorted batches. Both sides are
 * resident, take turns with the same sentences and the same weights. Neither caches.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { readGeneration } from "../../../test/support/read-generation.js";
import { TempDir } from "../../../test/support/temp-dir.js";
import { beginReport } from "../../harness/begin-report.js";
import { describeModel } from "../../harness/describe-model.js";
import { finish } from "../../harness/finish.js";
import type { Report } from "../../harness/report.js";
import { searchTitle } from "../../harness/search-title.js";
import type { RivalLayout } from "../comparison/case-spec.js";
import { resultsTable } from "../comparison/results-table.js";
import type { Rival } from "../comparison/rival.js";
import type { CaseResult, CaseRun } from "../comparison/run-case.js";
import { runSets } from "../comparison/run-sets.js";
import { checkCases, checkCounts, folderOf, precisionsOf } from "../comparison/settings.js";
import { startBoth } from "../residents.js";
import type { SentenceSet } from "../sentences.js";
import { tokenizerOf } from "../tokenizer.js";
import type { Translator } from "../turn.js";
import { cases, outputsCase } from "./cases.js";
import { checkPython, startResident } from "./resident.js";
import { allCases, type Flags, flags, usage } from "./settings.js";

/** One core with a real BLAS does 40 and more; without one, 1. */
const gflopsMin = 10;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  checkCases(values.cases, allCases, usage);
  checkCounts(values);
  const precisions = precisionsOf(values.precisions);
  checkPython(values.python, values.transformers);
  if (!existsSync(values.source))
    throw new Error(`there is no ${values.source}: --source says where`);
  const { report, machine } = beginReport();
  report.say(
    `rounds: ${values.rounds}; Millrace: ${values.rows} rows; PyTorch: sorted batches of ${values.batch}`,
  );
  await using temp = await TempDir.make();
  const results: CaseResult[] = [];
  const described: string[] = [];
  for (const precision of precisions) {
    const run = await runPrecision({ report, values, dir: temp.path }, precision);
    results.push(...run.results);
    described.push(run.described);
  }
  report.say(`\n${resultsTable(results, "PyTorch")}`);
  const outputs = Object.fromEntries(results.map(({ work, hash }) => [work, hash]));
  const facts = { settings: values, models: described, outputs };
  await finish(report, { machine, facts, jsonFile: values.json });
}

interface Comparison {
  readonly report: Report;
  readonly values: Flags;
  readonly dir: string;
}

async function runPrecision(
  { report, values, dir }: Comparison,
  precision: "f32" | "int8",
): Promise<{ readonly results: readonly CaseResult[]; readonly described: string }> {
  const folder = await folderOf(precision, values, dir);
  if (typeof folder === "string") throw new Error(folder);
  const tokenizer = await tokenizerOf(folder.modelDir);
  const toText = (ids: readonly number[]) => tokenizer.decode(ids).trim();
  const rival = new PyTorch({ report, values, precision, toText });
  const held = cases.map((spec) => (precision === "f32" ? spec : { ...spec, target: null }));
  const run = { report, rival, values, cases: held, precision, dir, ...folder };
  const results = await runSets(run, async (caseRun) => {
    if (values.cases.split(",").includes(outputsCase)) await compareIds(caseRun);
  });
  return { results, described: describeModel(await readGeneration(folder.modelDir)) };
}

/** Both engines, one thread each. */
async function compareIds({ report, fleet, title, count }: CaseRun): Promise<void> {
  const engine = await fleet.engine();
  const rival = await fleet.rival({ replicas: 1, threads: 1 });
  for (const beams of [1, 4]) {
    const turn = { mode: "all", beams, count, wantsIds: true } as const;
    const { ids: ours = [] } = await engine.translate(turn);
    const { ids: theirs = [] } = await rival.translate(turn);
    const equal = ours.filter((ids, at) => String(ids) === String(theirs[at])).length;
    report.add(`${title}, ${searchTitle(beams)}: equal to PyTorch's to the token, of ${count}`, [
      equal,
    ]);
  }
}

interface PyTorchSpec {
  readonly report: Report;
  readonly values: Flags;
  readonly precision: "f32" | "int8";
  readonly toText: (ids: readonly number[]) => string;
}

class PyTorch implements Rival {
  readonly name = "PyTorch";
  readonly outputs = "texts";
  readonly #spec: PyTorchSpec;

  constructor(spec: PyTorchSpec) {
    this.#spec = spec;
  }

  async start({ replicas, threads }: RivalLayout, set: SentenceSet): Promise<Translator> {
    const [even, odd] = set.halfFiles;
    if (replicas === 1) return await this.#resident(threads, set.idsFile);
    return await startBoth(
      () => this.#resident(threads, even),
      () => this.#resident(threads, odd),
    );
  }

  /** Throws where its products are so slow that nothing would be learned. */
  async #resident(threads: number, idsFile: string): Promise<Translator> {
    const { report, values, precision, toText } = this.#spec;
    const { python, transformers, "any-blas": anyBlas } = values;
    const spec = { python, transformers, source: resolve(values.source), precision, toText };
    const resident = await startResident({
      ...spec,
      idsFile,
      threads,
      batch: Number(values.batch),
    });
    const { gflops, version } = resident;
    if (gflops < gflopsMin && !anyBlas) {
      await resident[Symbol.asyncDispose]();
      throw new Error(
        `PyTorch multiplies at ${gflops.toFixed(1)} GFlop/s with ${threads} threads: without a real BLAS (Debian: libopenblas0-openmp) it is no rival; --any-blas measures nevertheless`,
      );
    }
    report.say(`${version}, ${threads} threads: ${gflops.toFixed(0)} GFlop/s in its products`);
    return resident;
  }
}
