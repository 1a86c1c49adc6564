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
64 callers over HTTP send four times --count. Callers over HTTP are in this process, on the same processors as what they call; CTranslate2 is
asked in its own process and has none. So they are as lean as may be (bench/harness/keep-alive-caller.ts), and what each process takes
stands beside the ratio.
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
