/**
 * `npm run bench -- ctranslate2`: beside the engine that somebody would pick who translates on a CPU. Both sides are resident, take turns
 * with the same sentences, and each has the settings that are best for it. What each translates is forgotten at once: neither caches.
 */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { readGeneration } from "../../../test/support/read-generation.js";
import { TempDir } from "../../../test/support/temp-dir.js";
import { beginReport } from "../../harness/begin-report.js";
import { describeModel } from "../../harness/describe-model.js";
import { finish } from "../../harness/finish.js";
import { countOf } from "../../harness/flags.js";
import { resultsTable } from "../comparison/results-table.js";
import type { Rival } from "../comparison/rival.js";
import type { CaseResult } from "../comparison/run-case.js";
import { checkCases, checkCounts, folderOf, precisionsOf } from "../comparison/settings.js";
import { cases } from "./cases.js";
import { driverSettings, startDriver, whyNoDriver } from "./driver.js";
import { runPrecision } from "./run-precision.js";
import { allCases, type Flags, flags, usage } from "./settings.js";

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  checkCases(values.cases, allCases, usage);
  checkCounts(values);
  countOf("outputs", values.outputs);
  const precisions = precisionsOf(values.precisions);
  const whyNot = whyNoDriver(values.driver);
  if (whyNot !== null) return console.log(`ctranslate2: left out, ${whyNot}`);
  const { report, machine } = beginReport();
  report.say(
    `rounds: ${values.rounds}; Millrace: ${values.rows} rows; CTranslate2: batches of ${values.batch}, one thread a replica, ${JSON.stringify(driverSettings())}`,
  );
  await using temp = await TempDir.make();
  const dir = temp.path;
  const results: CaseResult[] = [];
  const described: string[] = [];
  for (const precision of precisions) {
    const sides = await sidesOf(precision, values, dir);
    if (typeof sides === "string") {
      report.say(`${precision}: left out, ${sides}`);
      continue;
    }
    described.push(describeModel(await readGeneration(sides.modelDir)));
    const of = { report, values, cases, precision, dir, ...sides };
    results.push(...(await runPrecision(of, values)));
  }
  report.say(`\n${resultsTable(results, "CTranslate2")}`);
  const outputs = Object.fromEntries(results.map(({ work, hash }) => [work, hash]));
  const facts = { settings: values, rival: driverSettings(), models: described, outputs };
  await finish(report, { machine, facts, jsonFile: values.json });
}

/** CTranslate2, and Millrace's folder; or why there are none. */
async function sidesOf(
  precision: "int8" | "f32",
  values: Flags,
  dir: string,
): Promise<{ readonly rival: Rival; readonly modelDir: string } | string> {
  const isInt8 = precision === "int8";
  const modelDir = isInt8 ? values["ct2-model-int8"] : values["ct2-model-f32"];
  if (!existsSync(modelDir)) return `there is no ${modelDir}`;
  const folder = await folderOf(precision, values, dir);
  if (typeof folder === "string") return folder;
  const computeType = isInt8 ? "int8" : "float32";
  const usual = { driver: values.driver ?? "", modelDir, computeType, batch: Number(values.batch) };
  const rival: Rival = {
    name: "CTranslate2",
    outputs: "pieces",
    start: ({ replicas }, { piecesFile }, outputsDir) =>
      startDriver({ ...usual, inter: replicas, piecesFile, dir: outputsDir }),
  };
  return { rival, ...folder };
}
