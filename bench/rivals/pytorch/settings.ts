/** The flags of the comparison with PyTorch. */
import type { parseArgs } from "node:util";
import { casesUsage, commonUsage, comparisonFlags } from "../comparison/settings.js";
import { cases, outputsCase } from "./cases.js";

export const allCases = [...cases.map(({ name }) => name), outputsCase];

export const usage = `npm run bench -- pytorch [flags]
Sentences a second of Millrace and of PyTorch, and the ratio, medians (least–most) of rounds in which they take turns. PyTorch runs a Marian
model as transformers' generate() does: keys and values kept, batches sorted by length and padded, beams as rows, ended rows stay.
  --python FILE            a Python that has torch (default: /usr/bin/python3, which has Debian's python3-torch)
  --transformers           that Python's transformers, with its own model and generate(), instead of the plain one that is here
  --any-blas               measure even where torch multiplies slower than 10 GFlop/s, as it does without a real BLAS
  --cases LIST             (default: ${allCases.join(",")})
  --precisions LIST        f32, int8: PyTorch's by dynamic quantization of its Linears (default: f32)
${commonUsage}
Cases:
${casesUsage([...cases, { name: outputsCase, title: "how many are equal, token for token, greedy and with beams" }])}
Examples:
  npm run bench -- pytorch
  npm run bench -- pytorch --cases batch,beams,outputs --sets short --rounds 3      (a minute)
  npm run bench -- pytorch --python ~/venv/bin/python --transformers`;

export const flags = {
  ...comparisonFlags,
  python: { type: "string", default: "/usr/bin/python3" },
  transformers: { type: "boolean", default: false },
  "any-blas": { type: "boolean", default: false },
  cases: { type: "string", default: allCases.join(",") },
  precisions: { type: "string", default: "f32" },
} as const;

export type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];
