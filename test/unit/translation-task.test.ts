/** The task `translate`: what a request may say, what the model's own is, and how its answers become a text again. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import fc from "fast-check";
import { readManifest } from "#src/models/read-manifest.js";
import type { ModelFolder } from "#src/models/registry.js";
import { stepsOf } from "#src/prepare/model-steps.js";
import { PortionPacker, piecesOf } from "#src/prepare/portion.js";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { openTaskModels } from "#src/tasks/open.js";
import { taskOf, tasks } from "#src/tasks/table.js";
import type { TaskModel } from "#src/tasks/task.js";
import { completedSettings } from "#src/tasks/translation/input.js";
import { joinTranslation } from "#src/tasks/translation/join.js";
import { pieceOf } from "#src/tasks/translation/piece-of.js";
import { type Hypothesis, hypothesesPayload } from "#src/work/generation.js";
import { int32List, type JsonObject } from "#src/work/payload.js";
import { bundledModelDir } from "../support/engine.js";
import { manifestOf, writeModelFolder } from "../support/model-folder.js";
import { readReference } from "../support/reference.js";
import { skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const translate = taskOf({ task: "translate" });
const limits = { requestInputsMax: 3 };
const skip = skipWithout("models", "en-zh", "reference.json");

let opened: Promise<TaskModel> | undefined;

async function bundled(): Promise<TaskModel> {
  opened ??= openBundled();
  return await opened;
}

async function openBundled(): Promise<TaskModel> {
  const folder = { dir: bundledModelDir, manifest: await readManifest(bundledModelDir) };
  return await translate.open(folder, { inputCharactersMax: 20_000, imagePixelsMax: 1 });
}

test("a manifest's task is one of the table", () => {
  assert.equal(tasks.get("translate"), translate);
  assert.throws(() => taskOf({ task: "dream" }), {
    code: "model_folder_invalid",
    message: /there are: translate, .*infer/,
  });
});

describe("reading", () => {
  test("texts and token ids, and only the settings that were named", () => {
    assert.deepEqual(translate.read({ texts: "Hello." }, limits), {
      inputs: ["Hello."],
      settings: {},
      bytes: 38,
    });
    const all = {
      beams: 2,
      nBest: 2,
      lengthPenalty: 0.5,
      maxLength: 9,
      truncate: true,
      split: false,
    };
    assert.deepEqual(translate.read({ tokenIds: [[5, 0], [6]], ...all }, limits), {
      inputs: [[5, 0], [6]],
      settings: all,
      bytes: 88,
    });
  });

  test("attack: parsed inputs are counted as what they hold, not as what they took as JSON", () => {
    const held = (fields: JsonObject): number => translate.read(fields, limits).bytes;
    const ids = Array.from({ length: 1_000 }, () => 1);
    assert.ok(held({ tokenIds: [ids] }) >= 8 * ids.length, "a number takes eight bytes");
    const narrow = "é".repeat(1_000);
    const wide = `漢${narrow}`;
    assert.ok(held({ texts: narrow }) < 1_100);
    assert.ok(held({ texts: wide }) >= 2_000, "one wide character makes all of them wide");
  });

  const wrong: readonly (readonly [JsonObject, string, string])[] = [
    [{}, "bad_request", "texts"],
    [{ texts: "a", tokenIds: [[1]] }, "bad_request", "texts"],
    [{ texts: 5 }, "bad_request", "texts"],
    [{ texts: [] }, "input_empty", "texts"],
    [{ texts: ["a", "b", "c", "d"] }, "too_many_items", "texts"],
    [{ texts: ["a", null] }, "bad_request", "texts[1]"],
    [{ texts: ["\ud800"] }, "bad_encoding", "texts[0]"],
    [{ tokenIds: "5" }, "bad_request", "tokenIds"],
    [{ tokenIds: [[5], []] }, "input_empty", "tokenIds[1]"],
    [{ tokenIds: [[5, 1.5]] }, "bad_request", "tokenIds[0][1]"],
    [{ texts: "a", beams: 9 }, "bad_request", "beams"],
    [{ texts: "a", beams: 2, nBest: 3 }, "bad_request", "nBest"],
    [{ texts: "a", lengthPenalty: 11 }, "bad_request", "lengthPenalty"],
    [{ texts: "a", maxLength: 1 }, "bad_request", "maxLength"],
    [{ texts: "a", truncate: 1 }, "bad_request", "truncate"],
    [{ texts: "a", split: null }, "bad_request", "split"],
  ];
  for (const [body, code, param] of wrong) {
    test(`refuses ${JSON.stringify(body)}`, () => {
      assert.throws(() => translate.read(body, limits), { code, param });
    });
  }
});

describe("the model's own settings", () => {
  test("defect 27: beams that nobody named are the model's own, and nBest is held to them", async () => {
    const model = await bundled();
    const own = {
      beams: 4,
      nBest: 1,
      lengthPenalty: 1,
      maxLength: 128,
      truncate: false,
      split: true,
    };
    assert.deepEqual(model.complete({}), own);
    assert.deepEqual(model.complete({ nBest: 4 }), { ...own, nBest: 4 });
    assert.deepEqual(model.complete({ beams: 1, split: false }), {
      ...own,
      beams: 1,
      split: false,
    });
    assert.throws(() => model.complete({ nBest: 5 }), {
      code: "bad_request",
      param: "nBest",
      message: "`nBest`: is 5, but only 4 beams are kept.",
    });
  });

  test("an output longer than the model can write is refused by name", async () => {
    const model = await bundled();
    assert.throws(() => model.complete({ maxLength: 129 }), {
      code: "bad_request",
      param: "maxLength",
      message: "maxLength 129 is over the 128 tokens of en-zh",
    });
  });
});

test("an answer that cannot be used is named, and a good one is not", async () => {
  const model = await bundled();
  const one = { tokenIds: [82, 0], score: -1 };
  assert.equal(model.checkResult(hypothesesPayload([one, one]), {}), null);
  const bad: readonly (readonly [ReturnType<typeof hypothesesPayload>, RegExp])[] = [
    [hypothesesPayload([]), /not a list of scored tokens/],
    [hypothesesPayload([{ ...one, score: Number.NaN }]), /not a list of scored tokens/],
    [{ values: { scores: [1], lengths: [3] }, tensors: { tokens: int32List([1]) } }, /not a list/],
    [hypothesesPayload([{ ...one, tokenIds: [6000] }]), /token 6000; the vocabulary has 6000/],
    [hypothesesPayload([{ ...one, tokenIds: [-1] }]), /token -1/],
    [hypothesesPayload(Array.from({ length: 9 }, () => one)), /9 hypotheses/],
  ];
  for (const [payload, message] of bad) assert.match(model.checkResult(payload, {}) ?? "", message);
});

describe("joining", () => {
  interface Said {
    readonly text: string;
    readonly hypotheses: readonly (readonly Hypothesis[])[];
    readonly settings?: JsonObject;
  }

  /** The result of a text whose sentences the model answered so. */
  async function join({ text, hypotheses, settings = {} }: Said): Promise<JsonObject> {
    const model = await bundled();
    const completed = model.complete(settings);
    const packer = new PortionPacker();
    const run = { inputs: [text], firstIndex: 0, settings: completed };
    for (const step of stepsOf(model, run)) packer.add(step);
    const portion = packer.take();
    const [end] = portion.ends;
    assert.ok(end !== undefined && "note" in end);
    const pieces = [...piecesOf(portion)];
    assert.equal(pieces.length, hypotheses.length);
    const answers = hypotheses.map(hypothesesPayload);
    return model.join({ pieces, note: end.note, answers, settings: completed }).values;
  }

  const word = (id: number, score = -1): Hypothesis => ({ tokenIds: [id, 0], score });

  test("sentences with their white space, scores and counts", async () => {
    const joined = await join({
      text: " One. \n\nTwo. ",
      hypotheses: [[word(82, -1)], [word(60, -3)]],
    });
    const { text, ...numbers } = joined;
    assert.ok(typeof text === "string");
    assert.match(text, /^ \S+ \n\n\S+ $/);
    assert.deepEqual(numbers, { score: -2, inputTokens: 6, outputTokens: 4, sentences: 2 });
  });

  test("alternatives: the n-th of each, and a sentence with fewer lends its last", async () => {
    const joined = await join({
      text: "One. Two.",
      hypotheses: [[word(82), word(60)], [word(82)]],
      settings: { nBest: 3 },
    });
    const alternatives = joined["alternatives"] as { text: string }[];
    assert.equal(alternatives.length, 2);
    assert.equal(alternatives[0]?.text, joined["text"]);
    assert.notEqual(alternatives[1]?.text, joined["text"]);
  });

  test("attack: a text of more sentences than a call can have arguments is joined", async () => {
    const model = await bundled();
    const settings = model.complete({});
    const piece = pieceOf({ tokenIds: [82, 0], joiner: "" }, completedSettings(settings));
    const pieces = Array.from({ length: 250_000 }, () => piece);
    const answer = hypothesesPayload([word(82)]);
    const answers = pieces.map(() => answer);
    const note = { prefix: "", truncated: false };
    const joined = joinTranslation({ pieces, note, answers, settings }, () => "a");
    assert.equal(joined["sentences"], pieces.length);
  });

  test("attack: a text of thousands of sentences is decoded once", async () => {
    const model = await bundled();
    const settings = model.complete({});
    const piece = pieceOf({ tokenIds: [82, 0], joiner: "" }, completedSettings(settings));
    const pieces = Array.from({ length: 5_000 }, () => piece);
    const answers = pieces.map(() => hypothesesPayload([word(82)]));
    let decoded = 0;
    const note = { prefix: "", truncated: false };
    joinTranslation({ pieces, note, answers, settings }, () => {
      decoded += 1;
      return "a";
    });
    assert.equal(decoded, pieces.length);
  });

  test("a text without sentences is empty; one that was cut says so", async () => {
    const nothing = { text: "", score: 0, inputTokens: 0, outputTokens: 0, sentences: 0 };
    assert.deepEqual(await join({ text: " \n", hypotheses: [] }), nothing);
    const cut = await join({
      text: "word ".repeat(300),
      hypotheses: [[word(82)]],
      settings: { split: false, truncate: true },
    });
    assert.equal(cut["truncated"], true);
  });

  test("defect 28: no text begins with a space that only the tokenizer or an empty sentence put there", async () => {
    const model = await bundled();
    assert.equal(model.checkResult(hypothesesPayload([word(3)]), {}), null);
    // The lone word mark, then a piece that has its own: as Marian's decoder in transformers, without white space.
    const marks: Hypothesis = { tokenIds: [3, 1, 3, 82, 0], score: -1 };
    const plain = await join({ text: "One.", hypotheses: [[word(82)]] });
    const marked = await join({ text: "One.", hypotheses: [[marks]] });
    assert.equal(marked["text"], plain["text"]);
    // A first sentence of nothing but unknown pieces leaves nothing, not the white space behind it either.
    const unknown: Hypothesis = { tokenIds: [1, 0], score: -1 };
    const second = await join({ text: "One. Two.", hypotheses: [[unknown], [word(82)]] });
    assert.equal(second["text"], plain["text"]);
    const last = await join({ text: "One. Two.", hypotheses: [[word(82)], [unknown]] });
    assert.ok(typeof plain["text"] === "string");
    assert.equal(last["text"], `${plain["text"]} `);
  });

  test("defect 28: the text of every reference answer is that of transformers", {
    skip,
  }, async () => {
    const rows = readReference();
    assert.equal(rows.length, 1000);
    for (const { greedy, beam4 } of rows) {
      for (const { ids, text, score } of [greedy, beam4]) {
        const joined = await join({ text: "One.", hypotheses: [[{ tokenIds: ids, score }]] });
        assert.equal(joined["text"], text);
      }
    }
  });
});

test("defect 17: a folder whose tokenizer cannot be used is left out with its reason, and the others open", async () => {
  await using dir = await TempDir.make();
  const folder = async (name: string, tokenizer: string): Promise<ModelFolder> => {
    const contents = { "tokenizer.json": tokenizer };
    const manifest = manifestOf(name, contents);
    return { dir: await writeModelFolder(dir.file(name), manifest, contents), manifest };
  };
  const good = { dir: bundledModelDir, manifest: await readManifest(bundledModelDir) };
  const folders = [
    await folder("no-model", "{}"),
    await folder("no-json", "{"),
    await folder("strange", '{"model":{"type":"Dream"}}'),
    good,
  ];
  const { models, broken } = await openTaskModels(folders, {
    inputCharactersMax: 100,
    imagePixelsMax: 1,
  });
  assert.deepEqual([...models.keys()], ["en-zh"]);
  assert.deepEqual(
    broken.map((one) => one.dir),
    folders.slice(0, 3).map((one) => one.dir),
  );
  for (const { reason } of broken) assert.match(reason, /tokenizer\.json/);
});

describe("steps stay short", () => {
  test("the tokenizer's ids are the library's, also where it knows no character", async () => {
    const json = JSON.parse(await readFile(`${bundledModelDir}/tokenizer.json`, "utf8")) as object;
    const load = createRequire(import.meta.url) as (name: string) => unknown;
    const library = load("@huggingface/tokenizers") as {
      Tokenizer: new (json: object, config: object) => ReturnType<typeof createTokenizer>;
    };
    const ours = createTokenizer(json, {});
    const theirs = new library.Tokenizer(json, {});
    const fragment = fc.oneof(
      fc.constantFrom("ภาษา", "\u0301", "<unk>", "</s>", "▁", " ", "the sea", "\0", "😀", "ﷺ"),
      fc.string({ unit: "binary", maxLength: 8 }),
    );
    const texts = fc.array(fragment, { maxLength: 30 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(texts, (text) =>
        assert.deepEqual(ours.encode(text).ids, theirs.encode(text).ids),
      ),
      { numRuns: 150 },
    );
  });

  test("characters that the vocabulary lacks take time in proportion, however many", async () => {
    const json = JSON.parse(await readFile(`${bundledModelDir}/tokenizer.json`, "utf8")) as object;
    const { ids } = createTokenizer(json, {}).encode("ภ".repeat(400_000));
    assert.equal(ids.filter((id) => id === 1).length, 1);
  });

  const hostile: Readonly<Record<string, string>> = {
    "one letter": "x",
    "line breaks": "\n",
    "white space": " \u3000\t",
    "combining marks": "\u0315\u0300\u0327\u031b",
    emoji: "👨‍👩‍👧‍👦",
    "a character that stands for eighteen": "ﷺ",
    abbreviations: "Mr. e.g. J. R. R. ",
    quotes: '!"',
    "clause marks": ", ",
    "the vocabulary's own mark": "▁",
    "special tokens": "</s>",
    "unknown characters": "ภ",
  };
  for (const [name, unit] of Object.entries(hostile)) {
    test(`hostile: ${name}`, async () => {
      const model = await bundled();
      const text = unit.repeat(Math.floor(20_000 / unit.length));
      for (const split of [true, false]) {
        const settings = model.complete({ split, truncate: true });
        const steps = [...stepsOf(model, { inputs: [text], firstIndex: 0, settings })];
        assert.equal(steps.at(-1)?.kind, "end");
        for (const step of steps) {
          if (step.kind === "piece") assert.ok(step.piece.cost.units <= 128);
        }
        assert.ok(model.weigh(text, settings) > 0);
      }
    });
  }
});

test("whatever the text, no more pieces are counted than come of it", async () => {
  const model = await bundled();
  const settings = model.complete({});
  const words =
    'Hi harbour Dr approx Messrs No A B.C e.g " “ ” ) ( . ! ? ... … 。 ！ 你 好 a 5 Smith certain Certainly - : ; , I Is'.split(
      " ",
    );
  const between = ["", "", " ", "  ", "\n", "\t", "\r\n", "\u3000", "\u2028", "\v"];
  const token = fc.tuple(fc.constantFrom(...words), fc.constantFrom(...between));
  fc.assert(
    fc.property(fc.array(token, { maxLength: 30 }), (tokens) => {
      const text = tokens.flat().join("");
      const least = [...(model.leastPieces?.(text, settings) ?? [])].reduce((a, b) => a + b, 0);
      const steps = [...model.steps(text, { index: 0, settings })];
      assert.ok(least <= steps.filter(({ kind }) => kind === "piece").length);
    }),
    { numRuns: 3_000, seed: 6 },
  );
  const page = [...(model.leastPieces?.("Hi! ".repeat(5_000), settings) ?? [])];
  assert.equal(
    page.reduce((a, b) => a + b, 0),
    4_999,
  );
});
