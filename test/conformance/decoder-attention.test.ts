/** A decoder's attention fused and unfused: the same outputs, and unfused, too, no neighbour changes a bit. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { attentionFor, type DecoderAttention } from "#src/convert/marian/decoder-attention.js";
import type { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { Random } from "../sim/random.js";
import { convertQuietly } from "../support/converted.js";
import { openModel, type Sentence, WatchedEngine } from "../support/engine.js";
import { isLong } from "../support/long.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let modelDir: string;

before(async () => {
  temp = await TempDir.make();
  // A past of three widths.
  const config = { max_length: 40 };
  modelDir = await writeMarianFolder(temp.file("made"), { config });
});

after(() => temp[Symbol.asyncDispose]());

async function converted(
  precision: "f32" | "int8",
  attention: DecoderAttention,
): Promise<GenerationModel> {
  const outDir = temp.file(`${precision}-${attention}`);
  await convertQuietly({ modelDir, outDir, precision, attention });
  return await openModel(outDir, 1);
}

const random = new Random(3);
// Ten have every number of beams and every width.
const sentences: readonly Sentence[] = Array.from({ length: isLong ? 24 : 10 }, (_, index) => ({
  tokenIds: [...Array.from({ length: (index * 7) % 40 }, () => random.int(3, 5_900)), 0],
  settings: { beams: 1 + (index % 5) },
}));

/** Ids and scores of all, which are in the engine at once. */
async function together(model: GenerationModel, all: readonly Sentence[]) {
  const watched = new WatchedEngine(model);
  const items = all.map((sentence, itemId) => watched.itemOf(itemId, sentence));
  watched.engine.admit("bulk", items);
  await watched.finish();
  return all.map((_, itemId) => watched.hypotheses(itemId));
}

test("both ways give the same tokens, and scores that differ by rounding", async () => {
  const fused = await converted("f32", "fused");
  const unfused = await converted("f32", "unfused");
  const [wanted, found] = [await together(fused, sentences), await together(unfused, sentences)];
  await fused.release();
  await unfused.release();
  for (const [index, hypotheses] of wanted.entries()) {
    for (const [place, { tokenIds, score }] of hypotheses.entries()) {
      const other = found[index]?.[place];
      assert.deepEqual([...(other?.tokenIds ?? [])], [...tokenIds], `sentence ${index}`);
      assert.ok(Math.abs((other?.score ?? 0) - score) < 1e-4, `${other?.score} and ${score}`);
    }
  }
});

test("int8, unfused: each alone gives the same bits as all at once, and as all in another order", async () => {
  const model = await converted("int8", "unfused");
  const all = await together(model, sentences);
  const turned = (await together(model, sentences.toReversed())).toReversed();
  assert.deepEqual(turned, all);
  for (const [index, sentence] of sentences.entries()) {
    assert.deepEqual((await together(model, [sentence]))[0], all[index], `sentence ${index}`);
  }
  await model.release();
});

test("the bundled model's size has fused attention, a Transformer base unfused", () => {
  assert.equal(attentionFor({ layers: 2, width: 256 }), "fused");
  assert.equal(attentionFor({ layers: 6, width: 512 }), "unfused");
});
