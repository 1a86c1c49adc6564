/** All cases of one precision, and those that have a reference. */
import { readGeneration } from "../../../test/support/read-generation.js";
import type { CaseResult } from "../comparison/run-case.js";
import { caseRunOf, fleetOf, type PrecisionRun, runSets, setOf } from "../comparison/run-sets.js";
import { readReference } from "../sentences.js";
import { tokenizerOf } from "../tokenizer.js";
import { runMemory, runOutputs } from "./extras.js";
import type { Flags } from "./settings.js";

export async function runPrecision(run: PrecisionRun, values: Flags): Promise<CaseResult[]> {
  const wanted = new Set(values.cases.split(","));
  const results = await runSets(run, async (caseRun) => {
    if (wanted.has("memory")) await runMemory(caseRun);
  });
  if (wanted.has("outputs")) await compareOutputs(run, Number(values.outputs));
  return results;
}

/** The model's own held-out sentences, with what transformers makes of them. */
async function compareOutputs(run: PrecisionRun, count: number): Promise<void> {
  const { report, values, precision, modelDir } = run;
  const reference = readReference(values.source);
  if (reference === null) return report.say(`outputs: left out, ${values.source} has none`);
  const texts = reference.map(({ source }) => source);
  const set = await setOf(run, { name: "reference", from: "", texts }, texts.length);
  await using fleet = fleetOf(run, set);
  const { generation } = await readGeneration(modelDir);
  const tokenizer = await tokenizerOf(modelDir);
  await runOutputs(caseRunOf(run, fleet, precision), {
    reference: reference.slice(0, count),
    pieceOf: (id) => tokenizer.tokenOf(id),
    endTokenId: generation.endTokenId,
  });
}
