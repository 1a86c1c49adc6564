/**
 * `npm run bench -- ctranslate2`: beside the engine that somebody would pick who translates on a CPU. Both sides are resident, take turns
 * with the same sentences, and each has the settings that are best for it. What each translates is forgotten at once: neither caches.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { readGeneration } from "../../../test/support/read-generation.js";
import { TempDir } from "../../../test/support/temp-dir.js";
import { convertFloat } from "../../convert-float.js";
import { beginReport } from "../../harness/begin-report.js";
import { describeModel } from "../../harness/describe-model.js";
import { finish } from "../../harness/finish.js";
import { countOf } from "../../harness/flags.js";
import { spread, spreadText } from "../../machine.js";
import { driverSettings, whyNoDriver } from "./driver.js";
import type { CaseResult } from "./run-case.js";
import { type Models, runPrecision } from "./run-precision.js";
import { allCases, type Flags, flags, usage } from "./settings.js";

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const unknown = values.cases.split(",").filter((name) => !allCases.includes(name));
  if (unknown.length > 0) throw new Error(`no case ${unknown.join(", ")}\n${usage}`);
  // Before anything is converted and started.
  for (const flag of ["count", "outputs", "rounds", "rows", "batch"] as const)
    countOf(flag, values[flag]);
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
  for (const precision of values.precisions.split(",")) {
    const models = await modelsOf(precision, values, dir);
    if (typeof models === "string") {
      report.say(`${precision}: left out, ${models}`);
      continue;
    }
    described.push(describeModel(await readGeneration(models.modelDir)));
    results.push(...(await runPrecision({ report, values, dir, precision, ...models })));
  }
  report.say(`\n${tableOf(results)}`);
  const outputs = Object.fromEntries(results.map(({ work, hash }) => [work, hash]));
  const facts = { settings: values, rival: driverSettings(), models: described, outputs };
  await finish(report, { machine, facts, jsonFile: values.json });
}

/** Or why there are none. */
async function modelsOf(precision: string, values: Flags, dir: string): Promise<Models | string> {
  if (precision !== "int8" && precision !== "f32") throw new Error(`no precision ${precision}`);
  const rival = precision === "int8" ? values["ct2-model-int8"] : values["ct2-model-f32"];
  if (!existsSync(rival)) return `there is no ${rival}`;
  const computeType = precision === "int8" ? "int8" : "float32";
  const models = { rivalDir: rival, computeType } as const;
  if (precision === "int8") return { ...models, modelDir: resolve(values.model) };
  const float = values["model-f32"];
  if (float !== undefined) return { ...models, modelDir: resolve(float) };
  if (!existsSync(values.source)) return `there is no ${values.source}`;
  return { ...models, modelDir: await convertFloat(values.source, dir) };
}

/** As people read it: a case a line, a precision and a set of sentences a column. */
function tableOf(results: readonly CaseResult[]): string {
  const columns = [...new Set(results.map(({ column }) => column))];
  const rows = [...new Set(results.map(({ row }) => row))];
  const cell = (row: string, column: string): string => {
    const found = results.find((result) => result.row === row && result.column === column);
    if (found === undefined) return "";
    const [ours = "", theirs = ""] = [found.ours, found.theirs].map((values) =>
      spread(values).median.toFixed(0),
    );
    return `${spreadText(found.ratios, 2)} [${ours} : ${theirs}]`;
  };
  const lines = [
    ["Millrace ÷ CTranslate2 [sentences/s]", ...columns],
    ["---", ...columns.map(() => "---")],
    ...rows.map((row) => [row, ...columns.map((column) => cell(row, column))]),
  ];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
