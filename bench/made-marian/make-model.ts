/** `npm run bench -- make-model`: the second model of the benchmarks, of the seeds' size, with made weights and imposed lengths. */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { TempDir } from "../../test/support/temp-dir.js";
import { countOf, usual } from "../harness/flags.js";
import { convertMade } from "./convert-made.js";
import { marianShapes } from "./shapes.js";
import { writeMarian } from "./write-marian.js";

const usage = `npm run bench -- make-model --out DIR [flags]
A model of the seeds' size with weights made from a seed, converted as any other: 6 + 6 layers, width 512, 8 heads, feed-forward 2048,
a vocabulary of 32,000, 93.3 million parameters. Each output has 60 tokens, with 3 beams unless a request says otherwise: the whole
vocabulary is scored in every step, and the end token never chosen.
  --out DIR          the Millrace folder to write; its name is the model's
  --precision NAME   int8 or f32 (default: int8)
  --seed N           of the weights (default: 1)
  --shape NAME       ${Object.keys(marianShapes).join(" or ")} (default: base)
  --source DIR       keep the Marian folder that it is made of here (default: not kept)
  --force            replace DIR
Examples:
  npm run bench -- make-model --out /tmp/base-int8
  npm run bench -- make-model --out /tmp/base-f32 --precision f32 --source /tmp/base-marian
  node dist/cli/main.js serve --models /tmp/models     (with --out /tmp/models/base)`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      out: { type: "string" },
      precision: { type: "string", default: "int8" },
      seed: usual.seed,
      shape: { type: "string", default: "base" },
      source: { type: "string" },
      force: { type: "boolean", default: false },
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const { out, precision, source, force } = values;
  const shape = marianShapes[values.shape];
  if (out === undefined || shape === undefined) throw new Error(usage);
  if (precision !== "int8" && precision !== "f32") throw new Error(usage);
  const outDir = resolve(out);
  await using temp = await TempDir.make();
  const parent = temp.path;
  const modelDir = source ?? join(parent, "marian");
  const parameters = await writeMarian(modelDir, shape, countOf("seed", values.seed, 0));
  const { calibration } = await convertMade(modelDir, { outDir, precision, force });
  const int8 = calibration?.products.filter((product) => product.precision === "int8").length;
  const kind =
    int8 === undefined ? precision : `${int8} of ${calibration?.products.length} products in int8`;
  console.log(
    `${outDir}: ${(parameters / 1e6).toFixed(1)} M parameters, ${kind}, seed ${values.seed}, outputs of ${shape.outputTokens} tokens, ${shape.beams} beams`,
  );
}
