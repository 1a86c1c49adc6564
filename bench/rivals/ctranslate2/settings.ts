/** The flags of the comparison with CTranslate2. */
import { join } from "node:path";
import type { parseArgs } from "node:util";
import { casesUsage, commonUsage, comparisonFlags } from "../comparison/settings.js";
import { cases, extras } from "./cases.js";

const rivalDir = "../shared/rivals/ctranslate2";
export const allCases = [...cases.map(({ name }) => name), ...extras];

export const usage = `npm run bench -- ctranslate2 --driver PATH [flags]
Sentences a second of Millrace and of CTranslate2, and the ratio, medians (least–most) of rounds in which they take turns.
  --driver PATH            CTranslate2's driver, built by ${rivalDir}/build.sh
  --ct2-model-int8 DIR     (default: ${rivalDir}/model-int8)
  --ct2-model-f32 DIR      (default: ${rivalDir}/model-float32)
  --cases LIST             (default: ${allCases.join(",")})
  --precisions LIST        int8, f32 (default: both)
  --outputs N              sentences whose outputs are held against the reference (default: 1000)
${commonUsage}
Cases:
${casesUsage([...cases, ...extras.map((name) => ({ name, title: name }))])}
Examples:
  npm run bench -- ctranslate2 --driver /opt/ct2/driver
  npm run bench -- ctranslate2 --driver /opt/ct2/driver --cases pair --precisions int8 --sets short      (ten seconds)`;

export const flags = {
  ...comparisonFlags,
  driver: { type: "string" },
  "ct2-model-int8": { type: "string", default: join(rivalDir, "model-int8") },
  "ct2-model-f32": { type: "string", default: join(rivalDir, "model-float32") },
  cases: { type: "string", default: allCases.join(",") },
  precisions: { type: "string", default: "int8,f32" },
  outputs: { type: "string", default: "1000" },
} as const;

export type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];
