/** Child of the HTTP benchmark: an engine that always has `share` sentences; prints sentences/s. */
import { join } from "node:path";
import {
  GenerationEngine,
  generationEngineDefaults,
} from "#src/runtime/generation/generation-engine.js";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { generationPayload } from "#src/work/generation.js";
import { readGeneration } from "../../test/support/read-generation.js";
import { readSentences } from "../sentences.js";

const [modelDir = "", file = "", ...numbers] = process.argv.slice(2);
const [seconds = 1, threads = 1, rowsMax = 64, share = 1] = numbers.map(Number);

const manifest = await readGeneration(modelDir);
const { encoder, decoder, tokenizer } = manifest.files;
const paths = { encoder: join(modelDir, encoder), decoder: join(modelDir, decoder) };
const model = await GenerationModel.load(paths, manifest, { threads, spin: false });
const sentences = readSentences(file, join(modelDir, tokenizer), 1_000);
const { lengthPenalty, maxLength } = manifest.generation;
const settings = { beams: 1, nBest: 1, lengthPenalty, maxLength };

let sent = 0;
let done = 0;
const engine = new GenerationEngine(
  model,
  {
    onRun: () => {},
    onOutcomes: (outcomes) => {
      done += outcomes.length;
      send(outcomes.length);
    },
  },
  { ...generationEngineDefaults, rowsMax },
);

function send(count: number): void {
  const items = Array.from({ length: count }, () => {
    sent += 1;
    const tokenIds = sentences[sent % sentences.length]?.tokenIds ?? [];
    return { itemId: sent, payload: generationPayload({ tokenIds, settings }) };
  });
  engine.admit("realtime", items);
}

send(share);
const runFor = async (ms: number): Promise<number> => {
  const startedAtMs = performance.now();
  const before = done;
  while (performance.now() - startedAtMs < ms) await engine.step();
  return ((done - before) / (performance.now() - startedAtMs)) * 1000;
};
await runFor(500);
process.stdout.write(String(await runFor(seconds * 1000)));
