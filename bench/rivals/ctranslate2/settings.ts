/** The flags of the comparison with CTranslate2. */
import { join } from "node:path";
import type { parseArgs } from "node:util";
import { cases, extras } from "./cases.js";

const rivalDir = "../shared/rivals/ctranslate2";
export const allCases = [...cases.map(({ name }) => name), ...extras];

export const usage = `npm run bench -- ctranslate2 --driver PATH [flags]
Sentences a second of Millrace and of CTranslate2, and the ratio, medians (least–most) of rounds in which they take turns.
  --driver PATH            CTranslate2's driver, built by ${rivalDir}/build.sh
  --ct2-model-int8 DIR     (default: ${rivalDir}/model-int8)
  --ct2-model-f32 DIR      (default: ${rivalDir}/model-float32)
  --model DIR              int8 Millrace folder (default: models/en-zh)
  --source DIR             Hugging Face folder, converted for float32 (default: ../shared/models/en-zh)
  --model-f32 DIR          float32 Millrace folder, instead of one converted from --source
  --cases LIST             (default: ${allCases.join(",")})
  --precisions LIST        int8, f32 (default: both)
  --sets LIST              short, long: which sentences (default: both)
  --short FILE             one a line (default: the held-out sentences of --source, else models/calibration.en.txt)
  --long FILE              one a line (default: ../shared/data/sentences/data_4k.txt)
  --count N                sentences a turn (default: 448; one at a time: a quarter of them; 64 callers: four times as many)
  --warm N                 sentences before the first round over HTTP, at most: JavaScript is compiled as it runs (default: 5376)
  --outputs N              sentences whose outputs are held against the reference (default: 1000)
  --rounds N               (default: 5)
  --rows N                 rows of an engine (default: 64, the server's own)
  --batch N                examples of a batch of CTranslate2's (default: 64)
  --json FILE              the figures as JSON
Callers over HTTP are in this process, on the same processors as what they call; CTranslate2 is asked in its own process and has none. So
they are as lean as may be (bench/harness/keep-alive-caller.ts), and what each process takes stands beside the ratio.
Cases:
${[...cases, ...extras.map((name) => ({ name, title: name }))]
  .map(({ name, title }) => `  ${name.padEnd(16)} ${title}`)
  .join("\n")}
Examples:
  npm run bench -- ctranslate2 --driver /opt/ct2/driver
  npm run bench -- ctranslate2 --driver /opt/ct2/driver --cases pair --precisions int8 --sets short      (ten seconds)`;

export const flags = {
  driver: { type: "string" },
  "ct2-model-int8": { type: "string", default: join(rivalDir, "model-int8") },
  "ct2-model-f32": { type: "string", default: join(rivalDir, "model-float32") },
  model: { type: "string", default: "models/en-zh" },
  source: { type: "string", default: "../shared/models/en-zh" },
  "model-f32": { type: "string" },
  cases: { type: "string", default: allCases.join(",") },
  precisions: { type: "string", default: "int8,f32" },
  sets: { type: "string", default: "short,long" },
  short: { type: "string" },
  long: { type: "string", default: "../shared/data/sentences/data_4k.txt" },
  count: { type: "string", default: "448" },
  warm: { type: "string", default: "5376" },
  outputs: { type: "string", default: "1000" },
  rounds: { type: "string", default: "5" },
  rows: { type: "string", default: "64" },
  batch: { type: "string", default: "64" },
  json: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

export type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];
