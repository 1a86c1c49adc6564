/** Conversion with a vocabulary shortlist: what such a model generates, beside what the whole one does. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { registerConvert } from "#src/cli/convert.js";
import { inspectFolder, inspectionText } from "#src/cli/inspect.js";
import type { ConvertOptions } from "#src/convert/convert.js";
import { readMarianConfig } from "#src/convert/marian/config.js";
import { chooseShortlist } from "#src/convert/marian/shortlist.js";
import { readTokenizerFacts } from "#src/convert/marian/tokenizer-facts.js";
import { openTokenizers } from "#src/convert/marian/tokenizers.js";
import { readShortlistLines } from "#src/convert/shortlist-text.js";
import type { HuggingFaceTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { convertQuietly, shippedSentences } from "../support/converted.js";
import { writeEncoderSource } from "../support/encoder-source.js";
import { openModel, type Sentence, translateAll } from "../support/engine.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { writeMarianRepository } from "../support/marian-repository.js";
import { decodeModel } from "../support/onnx.js";
import { readGeneration } from "../support/read-generation.js";
import { sentencePieceModels } from "../support/sentencepiece-models.js";
import { TempDir } from "../support/temp-dir.js";
import { readTinyRows, tinyModels } from "../support/tiny-marian.js";

const main = fileURLToPath(import.meta.resolve("#src/cli/main.js"));

/** Any text does: the tokenizer of the made models has English words, too. */
const shortlist = { file: shippedSentences, minCount: 1 };

function sentencesOf(model: string): Sentence[] {
  const inputs = readTinyRows().filter((row) => row.model === model);
  return [1, 4].flatMap((beams) =>
    inputs.map(({ input: tokenIds }) => ({ tokenIds, settings: { beams, nBest: beams } })),
  );
}

async function targetTexts(modelDir: string): Promise<HuggingFaceTokenizer> {
  const config = await readMarianConfig(modelDir);
  const tokenizers = await openTokenizers(modelDir, config, await readTokenizerFacts(modelDir));
  return tokenizers.targetTexts();
}

/** What convert must choose for the folder. */
async function chosen(modelDir: string): Promise<Int32Array> {
  const choice = {
    lines: await readShortlistLines(shortlist.file),
    minCount: shortlist.minCount,
    onProgress: () => {},
  };
  const config = await readMarianConfig(modelDir);
  return (await chooseShortlist(choice, await targetTexts(modelDir), config)).ids;
}

/** A folder whose model hardly ever wants a token that the shortlist lacks. Gives the shortlist. */
async function writeWilling(modelDir: string): Promise<Int32Array> {
  const options = tinyModels["shared"] ?? {};
  const ids = await chosen(await writeMarianFolder(modelDir, options));
  const kept = new Set(ids);
  await writeMarianFolder(modelDir, {
    ...options,
    change: (name, values) => {
      options.change?.(name, values);
      if (name !== "final_logits_bias") return;
      for (const id of values.keys()) if (!kept.has(id)) values[id] = -1e4;
    },
  });
  return ids;
}

async function translations(dir: string, sentences: readonly Sentence[]) {
  const model = await openModel(dir);
  const together = await translateAll(model, sentences);
  const alone = await translateAll(model, sentences.slice(0, 1));
  await model.release();
  return { together, alone };
}

for (const precision of ["f32", "int8"] as const) {
  test(`${precision}: token for token what the whole model says, where that says nothing else`, async () => {
    await using dir = await TempDir.make();
    const modelDir = dir.file("in");
    const ids = await writeWilling(modelDir);
    const calibrationFile = dir.file("few.txt");
    await writeFile(calibrationFile, (await readFile(shippedSentences, "utf8")).slice(0, 600));
    const options = { modelDir, precision, calibrationFile };
    await convertQuietly({ ...options, outDir: dir.file("whole") });
    await convertQuietly({ ...options, outDir: dir.file("short"), shortlist });
    const { layerPrecision, shape, shortlist: facts } = await readGeneration(dir.file("short"));
    assert.equal(layerPrecision["output"], precision);
    assert.deepEqual([facts?.tokens, shape.targetVocabulary], [ids.length, 6_000]);
    const sentences = sentencesOf("shared");
    const whole = await translations(dir.file("whole"), sentences);
    const short = await translations(dir.file("short"), sentences);
    for (const [index, hypotheses] of whole.together.entries()) {
      const found = short.together[index] ?? [];
      assert.deepEqual(
        found.map(({ tokenIds }) => tokenIds),
        hypotheses.map(({ tokenIds }) => tokenIds),
      );
      for (const [place, { score }] of hypotheses.entries()) {
        const gap = Math.abs(score - (found[place]?.score ?? Number.NaN));
        assert.ok(gap < 1e-3, `sentence ${index}: scores are ${gap} apart`);
      }
    }
    assert.deepEqual(short.alone, short.together.slice(0, 1), "it depends on its neighbours");
  });
}

test("no other token ever comes, and what the whole model says without one is said as well", async () => {
  await using dir = await TempDir.make();
  const name = "two vocabularies, output table";
  const modelDir = await writeMarianFolder(dir.file("in"), tinyModels[name]);
  await convertQuietly({ modelDir, outDir: dir.file("whole") });
  await convertQuietly({ modelDir, outDir: dir.file("short"), shortlist });
  const kept = new Set(await chosen(modelDir));
  const isKept = ({ tokenIds }: { readonly tokenIds: readonly number[] }) =>
    tokenIds.every((id) => kept.has(id));
  const sentences = sentencesOf(name);
  const whole = await translations(dir.file("whole"), sentences);
  const short = await translations(dir.file("short"), sentences);
  assert.ok(short.together.flat().every(isKept));
  const greedy = whole.together.slice(0, sentences.length / 2).map(([first]) => first);
  let same = 0;
  for (const [index, hypothesis] of greedy.entries()) {
    assert.ok(hypothesis !== undefined);
    if (!isKept(hypothesis)) continue;
    assert.deepEqual(short.together[index]?.[0]?.tokenIds, hypothesis.tokenIds);
    same += 1;
  }
  assert.ok(same > 0 && same < greedy.length, `${same} of ${greedy.length} need no other token`);
});

test("the output has a row for each token of the shortlist, the embeddings have all, and the ids stand beside them", async () => {
  await using dir = await TempDir.make();
  const modelDir = await writeMarianFolder(dir.file("in"));
  await convertQuietly({ modelDir, outDir: dir.file("out"), shortlist });
  const ids = await chosen(modelDir);
  const { graph } = decodeModel(await readFile(dir.file("out", "decoder.onnx")));
  const stored = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const dims = (name: string) => stored.get(name)?.dims.map(Number);
  assert.deepEqual(dims("output.weight"), [ids.length, 16]);
  assert.deepEqual(dims("final_logits_bias"), [ids.length]);
  assert.deepEqual(dims("model.shared.weight"), [6_000, 16]);
  const { shortlist: facts, files } = await readGeneration(dir.file("out"));
  assert.ok(facts !== undefined);
  const place = new Map(
    stored.get(facts.idsTensor)?.externalData?.map(({ key, value }) => [key, value]),
  );
  const weights = await readFile(dir.file("out", files.weights));
  const from = Number(place.get("offset"));
  const bytes = weights.subarray(from, from + Number(place.get("length")));
  assert.deepEqual(new Int32Array(new Uint8Array(bytes).buffer), ids);
  const said = inspectionText(await inspectFolder(dir.file("out")));
  assert.match(said, new RegExp(`shortlist +${ids.length} of 6000 tokens, chosen from 112 sent`));
});

test("with a real tokenizer every character that it has can still be said", async () => {
  await using dir = await TempDir.make();
  const modelDir = await writeMarianFolder(dir.file("in"));
  const vocabulary = (await targetTexts(modelDir)).get_vocab();
  const kept = new Set(await chosen(modelDir));
  assert.ok(kept.size < vocabulary.size);
  for (const character of [...vocabulary.keys()].flatMap((piece) => Array.from(piece))) {
    const id = vocabulary.get(character);
    assert.ok(id === undefined || kept.has(id), `${character} cannot be said`);
  }
});

test("the text is cut as texts of the target language are", async () => {
  await using dir = await TempDir.make();
  // Source and target differ in whether a text begins with a space.
  const target = sentencePieceModels["no prefix"] ?? "";
  const one = await writeMarianRepository(dir.file("one"), { target: Buffer.from(target) });
  const idsOf = async (modelDir: string) =>
    (await targetTexts(modelDir)).encode("bb", { add_special_tokens: false }).ids;
  assert.deepEqual(await idsOf(one), [5, 5]);
  const two = await writeMarianRepository(dir.file("two"), {
    config: {
      share_encoder_decoder_embeddings: false,
      decoder_vocab_size: 5,
      pad_token_id: 4,
      decoder_start_token_id: 4,
      bad_words_ids: [[4]],
    },
    target: Buffer.from(target),
    targetVocabulary: { "</s>": 0, "<unk>": 1, b: 2, "▁": 3, "<pad>": 4 },
    tokenizerConfig: { separate_vocabs: true, source_lang: "eng", target_lang: "zho" },
  });
  assert.deepEqual(await idsOf(two), [2, 2]);
});

test("refused, and nothing is left: a count below 1, a model that generates nothing, a stop", async () => {
  await using dir = await TempDir.make();
  const stop = new AbortController();
  const reason = new Error("stopped");
  await writeMarianFolder(dir.file("marian"));
  await writeEncoderSource(dir.file("encoder"));
  const refusals: readonly (readonly [string, Partial<ConvertOptions>, object])[] = [
    [
      "marian",
      { shortlist: { ...shortlist, minCount: 0 } },
      { code: "option_invalid", message: /--shortlist-min-count 0 is not/ },
    ],
    ["encoder", {}, { code: "option_invalid", message: /--shortlist is for marian models/ }],
    [
      "marian",
      {
        signal: stop.signal,
        onProgress: ({ step }) => {
          if (step === "choose") stop.abort(reason);
        },
      },
      reason,
    ],
  ];
  for (const [source, options, expected] of refusals) {
    const target = { modelDir: dir.file(source), outDir: dir.file("out"), shortlist, ...options };
    await assert.rejects(convertQuietly(target), expected);
    assert.deepEqual((await readdir(dir.path)).toSorted(), ["encoder", "marian"]);
  }
});

test("defect: lines end as any system ends them, and a file that is one line is refused, not cut for minutes", async () => {
  await using dir = await TempDir.make();
  const file = dir.file("text");
  await writeFile(file, "\ufeffone\r\n\rtwo\r three\nfour");
  assert.deepEqual(await readShortlistLines(file), ["one", "two", "three", "four"]);
  await writeFile(file, `short\n${"a ".repeat(40_000)}`);
  await assert.rejects(readShortlistLines(file), {
    code: "option_invalid",
    message: /has a line of 79999 characters; the limit is 65536/,
  });
});

test("the command says what it chose, and what it cannot do", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  const target = ["convert", dir.file("in"), "--out", dir.file("out"), "--precision", "f32"];
  const command = new Command();
  registerConvert(command);
  const lonely = [...target, "--shortlist-min-count", "2"];
  await assert.rejects(command.parseAsync(lonely, { from: "user" }), {
    code: "option_invalid",
    message: "--shortlist-min-count needs --shortlist",
  });
  const pictures = ["convert", "--task", "ocr", "--out", dir.file("out")];
  for (const flag of [
    ["--shortlist", shippedSentences],
    ["--shortlist-min-count", "2"],
  ]) {
    const ocr = new Command();
    registerConvert(ocr);
    await assert.rejects(ocr.parseAsync([...pictures, ...flag], { from: "user" }), {
      code: "option_invalid",
      message: "--shortlist is for marian models; --task ocr has none",
    });
  }
  const args = [main, ...lonely, "--shortlist", shippedSentences];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close");
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  assert.deepEqual(await closed, [0, null], errors);
  assert.match(out, /shortlist: \d+ of 6000 tokens, chosen from 112 sentences; \d\d\.\d\d%/);
  assert.match(errors, /Choosing the shortlist …/);
});
