/**
 * `npm run bench -- tasks`: what the tasks beside translation gain from packing, from int8 and from company, and what a change of
 * models costs. Models have made weights; variants take turns in one run, and figures are medians with the least and the most.
 */
import { rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TempDir } from "../../test/support/temp-dir.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { countOf, usual } from "../harness/flags.js";
import { benchCallers } from "./callers.js";
import { makeModels } from "./make-models.js";
import { benchPacking } from "./packing.js";
import { benchPages } from "./pages.js";
import type { TasksSettings } from "./settings.js";
import { shapes } from "./shapes.js";
import { benchSwitching } from "./switching.js";
import { madeTexts } from "./texts.js";

const usage = `npm run bench -- tasks [flags]
  --parts LIST     of packing, callers, switching, pages (default: all)
  --shapes LIST    of minilm, bert-base, tiny (default: the first two)
  --texts N        texts a round (default: 512)
  --rounds N       (default: 5)
  --threads N      of a pipeline (default: all cores)
  --graphs DIR     detector, recogniser, keys (default: ../shared/models/ocr; else pages are left out)
  --pictures DIR   of text (default: ../shared/data/images/ocr)
  --json FILE      the figures`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      parts: { type: "string", default: "packing,callers,switching,pages" },
      shapes: { type: "string", default: "minilm,bert-base" },
      texts: { type: "string", default: "512" },
      rounds: usual.rounds,
      threads: { type: "string", default: String(availableParallelism()) },
      graphs: { type: "string", default: "../shared/models/ocr" },
      pictures: { type: "string", default: "../shared/data/images/ocr" },
      json: usual.json,
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const count = countOf("texts", values.texts);
  const run = {
    rounds: countOf("rounds", values.rounds),
    threads: countOf("threads", values.threads, 0),
  };
  const parts = new Set(values.parts.split(","));
  const { report, machine } = beginReport("tasks");
  report.say(`${count} texts of 5 to 250 tokens, rounds: ${run.rounds}`);
  await using temp = await TempDir.make();
  const parent = temp.path;
  if (parts.has("pages")) {
    const { graphs, pictures } = values;
    await benchPages(report, { graphs, pictures, parent, ...run });
  }
  for (const name of values.shapes.split(",").filter((each) => each !== "")) {
    const shape = shapes[name];
    if (shape === undefined) throw new Error(`there is no shape ${name}\n${usage}`);
    const texts = madeTexts(shape, count, { least: 5, most: 250, seed: 1 });
    const singles = Math.min(200, count);
    const settings: TasksSettings = { ...run, texts, singles };
    const models = await makeModels(parent, shape);
    if (parts.has("packing")) await benchPacking(report, models, settings);
    if (parts.has("callers"))
      for (const model of models) await benchCallers(report, model, settings);
    const int8 = models.find(({ precision }) => precision === "int8");
    if (parts.has("switching") && int8 !== undefined) {
      const text = "w1 w2 w3 w4 w5";
      await benchSwitching(report, int8, {
        parent: join(parent, shape.name),
        ...run,
        singles,
        text,
      });
    }
    await rm(join(parent, shape.name), { recursive: true });
  }
  const facts = { ...run, count, parts: values.parts, shapes: values.shapes };
  await finish(report, { machine, facts, jsonFile: values.json });
}
