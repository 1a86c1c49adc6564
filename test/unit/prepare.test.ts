import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { before, describe, test } from "node:test";
import { ModelRegistry } from "#src/models/registry.js";
import type { PrepareRequest } from "#src/prepare/prepare.js";
import { Preparer } from "#src/prepare/preparer.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { openTaskModels, prepareThreadOf } from "#src/tasks/open.js";
import type { TaskModel } from "#src/tasks/task.js";
import { pieceOf } from "#src/tasks/translation/piece-of.js";
import { hypothesesPayload } from "#src/work/generation.js";
import type { JsonObject } from "#src/work/payload.js";
import type { PreparedInput } from "#src/work/piece.js";
import { isLong, someOf } from "../support/long.js";
import { manifestOf, writeModelFolder } from "../support/model-folder.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

interface Reference {
  readonly rows: readonly {
    readonly source: string;
    readonly input_ids: readonly number[];
    readonly greedy: { readonly ids: readonly number[]; readonly text: string };
    readonly beam4: { readonly ids: readonly number[]; readonly text: string };
  }[];
}

const never = (): AbortSignal => new AbortController().signal;
const skip = skipWithout("models", "en-zh", "tokenizer.json");

interface Opened extends AsyncDisposable {
  readonly model: TaskModel;
  /** What the caller named is completed with the model's own. */
  prepare(wanted: Wanted, signal?: AbortSignal): Promise<PreparedInput[]>;
  /** The text that the model writes when it answers with these ids. */
  write(tokenIds: readonly number[]): string;
}

interface Wanted {
  readonly inputs: PrepareRequest["inputs"];
  readonly settings: JsonObject;
}

/** A registry of one folder with the real tokenizer and graphs that are none, and a preparer on it. */
async function openPreparer(
  dir: TempDir,
  options: {
    inputTokensMax?: number;
    inputCharactersMax?: number;
    inlineCharactersMax?: number;
    tokenizer?: string;
  } = {},
): Promise<Opened> {
  const tokenizer =
    options.tokenizer ?? (await readFile(sharedPath("models", "en-zh", "tokenizer.json"), "utf8"));
  const contents = { "tokenizer.json": tokenizer };
  const manifest = manifestOf("en-zh", contents);
  const limits = { ...manifest.limits, inputTokensMax: options.inputTokensMax ?? 128 };
  await writeModelFolder(dir.path, { ...manifest, limits }, contents);
  const folders = (await ModelRegistry.open(dir.path)).list();
  const { inputCharactersMax = 2_000_000, inlineCharactersMax = 16_384 } = options;
  const { models, broken } = await openTaskModels(folders, {
    inputCharactersMax,
    imagePixelsMax: 1,
  });
  assert.deepEqual(broken, []);
  const thread = prepareThreadOf(new Map(folders.map((each) => [each.manifest.name, each])), {
    inputCharactersMax,
    imagePixelsMax: 1,
  });
  const preparer = new Preparer({ models, thread, inlineCharactersMax });
  const model = models.get("en-zh");
  assert.ok(model !== undefined);
  return {
    model,
    prepare: ({ inputs, settings }, signal = never()) => {
      const completed = model.complete(settings);
      const budget = { foresee() {}, reserve() {}, take() {} };
      const who = { class: (): "realtime" => "realtime", tenant: "default", budget };
      return preparer.prepare({ model: "en-zh", inputs, settings: completed, ...who }, signal);
    },
    write: (tokenIds) => {
      const answers = [hypothesesPayload([{ tokenIds, score: 0 }])];
      const note = { prefix: "", truncated: false };
      const pieces = [pieceOf({ tokenIds: [0], joiner: "" }, defaults)];
      const { text } = model.join({ pieces, note, answers, settings: model.complete({}) }).values;
      assert.ok(typeof text === "string");
      return text;
    },
    [Symbol.asyncDispose]: () => preparer.close(),
  };
}

const defaults = { beams: 4, nBest: 1, lengthPenalty: 1, maxLength: 128 };

function textsRequest(
  texts: readonly string[],
  options: { split?: boolean; truncate?: boolean } = {},
): Wanted {
  return { inputs: texts, settings: options };
}

function idsRequest(tokenIds: readonly (readonly number[])[], truncate = false): Wanted {
  return { inputs: tokenIds, settings: { truncate } };
}

/** Plain, so that they can be compared. */
function pieces(input: PreparedInput | undefined) {
  assert.ok(input?.ok, JSON.stringify(input));
  return input.pieces.map(({ payload, cost, note }) => {
    const tokens = payload.tensors["tokens"]?.data;
    assert.ok(tokens instanceof Int32Array);
    assert.deepEqual([cost.units, cost.width, cost.batchKey], [tokens.length, tokens.length, ""]);
    assert.deepEqual(payload.values, defaults);
    return { tokenIds: [...tokens], joiner: note };
  });
}

function plain(input: PreparedInput | undefined) {
  return input?.ok === true ? { pieces: pieces(input), note: input.note } : input?.error;
}

function isTruncated(input: PreparedInput | undefined): boolean {
  assert.ok(input?.ok);
  return (input.note as { truncated: boolean }).truncated;
}

function failure(input: PreparedInput | undefined) {
  assert.ok(input?.ok === false, JSON.stringify(input));
  return input.error;
}

describe("prepare with the shared tokenizer", { skip }, () => {
  let reference: Reference = { rows: [] };
  before(async () => {
    const path = sharedPath("models", "en-zh", "reference.json");
    const all = JSON.parse(await readFile(path, "utf8")) as Reference;
    assert.equal(all.rows.length, 1000);
    reference = { rows: someOf(all.rows, 4) };
  });

  test("ids and texts are those of transformers, on the reference sentences", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    const sources = reference.rows.map((row) => row.source);
    const prepared = await preparer.prepare(textsRequest(sources, { split: false }));
    for (const [index, row] of reference.rows.entries()) {
      assert.deepEqual(
        pieces(prepared[index]),
        [{ tokenIds: row.input_ids, joiner: "" }],
        row.source,
      );
      assert.equal(preparer.write(row.greedy.ids), row.greedy.text);
      assert.equal(preparer.write(row.beam4.ids), row.beam4.text);
    }
  });

  test("a text is split into sentences, and its white space is kept beside them", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    const texts = ["\n Hello there.  How are you?\n\nFine.\n", " \t\n", "", "One."];
    const prepared = await preparer.prepare(textsRequest(texts));
    const [first, blank, empty, last] = prepared;
    assert.ok(first?.ok);
    assert.deepEqual(first.note, { prefix: "\n ", truncated: false });
    assert.deepEqual(
      pieces(first).map(({ tokenIds, joiner }) => [preparer.write(tokenIds), joiner]),
      [
        ["Hello there.", "  "],
        ["How are you?", "\n\n"],
        ["Fine.", "\n"],
      ],
    );
    const note = { prefix: " \t\n", truncated: false };
    assert.deepEqual(blank, { ok: true, pieces: [], note });
    assert.deepEqual(empty, { ok: true, pieces: [], note: { ...note, prefix: "" } });
    assert.equal(pieces(last).length, 1);
    const whole = await preparer.prepare(textsRequest(texts, { split: false }));
    assert.deepEqual(
      whole.map((text) => pieces(text).length),
      [1, 0, 0, 1],
    );
  });

  test("a page with sentences over the limit is cut further and never refused", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir, { inputTokensMax: 16 });
    const clause = "the old man who lived by the sea went out, ";
    const texts = [
      clause.repeat(30),
      "word ".repeat(300),
      "x".repeat(3000),
      "\u{1F600}a".repeat(200),
    ];
    const prepared = await preparer.prepare(textsRequest(texts));
    for (const [index, text] of prepared.entries()) {
      const all = pieces(text);
      assert.ok(all.length > 1, `text ${index}`);
      assert.ok(all.every(({ tokenIds }) => tokenIds.length <= 16 && tokenIds.at(-1) === 0));
    }
    const [first] = prepared;
    const written = pieces(first).map((piece) => preparer.write(piece.tokenIds));
    assert.ok(
      written.every((text) => text.endsWith(",")),
      JSON.stringify(written),
    );
  });

  test("without split, a text over the limit fails alone, or is cut where the caller allows it", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir, { inputTokensMax: 8 });
    const texts = ["Hello.", "word ".repeat(20), "word ".repeat(100_000), "Goodbye."];
    const refused = await preparer.prepare(textsRequest(texts, { split: false }));
    assert.equal(failure(refused[1]).code, "input_too_long");
    assert.equal(failure(refused[1]).param, "texts[1]");
    assert.equal(failure(refused[2]).code, "input_too_long");
    assert.equal(pieces(refused[0]).length, 1);
    assert.equal(pieces(refused[3]).length, 1);
    const cut = await preparer.prepare(textsRequest(texts, { split: false, truncate: true }));
    for (const text of [cut[1], cut[2]]) {
      const [piece] = pieces(text);
      assert.equal(piece?.tokenIds.length, 8);
      assert.equal(piece?.tokenIds.at(-1), 0, "the end token is kept");
      assert.ok(isTruncated(text));
    }
    assert.ok(!isTruncated(cut[0]));
  });

  test("the cap on characters holds for each text alone", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir, { inputCharactersMax: 10 });
    const texts = ["0123456789", "01234567890", "012345678\u{1F600}"];
    const refused = await preparer.prepare(textsRequest(texts));
    assert.equal(refused[0]?.ok, true);
    assert.equal(failure(refused[1]).code, "input_too_long");
    assert.match(failure(refused[1]).message, /texts\[1\] has 11 characters; the limit is 10/);
    const cut = await preparer.prepare(textsRequest(texts, { truncate: true }));
    assert.ok(isTruncated(cut[1]));
    assert.deepEqual(
      pieces(cut[2]),
      pieces((await preparer.prepare(textsRequest(["012345678"])))[0]),
    );
  });

  test("token ids are taken as they are, each list checked alone", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir, { inputTokensMax: 4 });
    const lists = [[5, 6, 0], [5, 6], [], [5, 6000], [-1, 0], [1.5], [5, 6, 7, 8, 0]];
    const prepared = await preparer.prepare(idsRequest(lists));
    assert.deepEqual(pieces(prepared[0]), [{ tokenIds: [5, 6, 0], joiner: "" }]);
    assert.deepEqual(pieces(prepared[1]), [{ tokenIds: [5, 6], joiner: "" }]);
    const errors = prepared.slice(2).map((text) => failure(text));
    assert.deepEqual(
      errors.map(({ code, param }) => [code, param]),
      [
        ["input_empty", "tokenIds[2]"],
        ["token_out_of_range", "tokenIds[3][1]"],
        ["token_out_of_range", "tokenIds[4][0]"],
        ["token_out_of_range", "tokenIds[5][0]"],
        ["input_too_long", "tokenIds[6]"],
      ],
    );
    const [cut] = await preparer.prepare(idsRequest([[5, 6, 7, 8, 0]], true));
    assert.deepEqual(pieces(cut), [{ tokenIds: [5, 6, 7, 0], joiner: "" }]);
  });

  test("what is counted of a text before it is prepared is no more than comes of it", async () => {
    await using dir = await TempDir.make();
    await using opened = await openPreparer(dir, { inputCharactersMax: 5_000 });
    const { model } = opened;
    const texts = [
      "",
      " \n\t ",
      "Hi! Hi! Hi!",
      "Dr. Smith met Mr. Jones. He left.\n\nNo. 5 is alive.",
      "\u{200b}. \u{3164}! \u0001? ...",
      "word ".repeat(900),
      "你好。你好！你好？",
      "One. ".repeat(2_000),
      'It went well! "Yes!" he said? No. Approx. Five; certainly. Nobody... Really? 5 of them!\tGo.',
      "A harbour. Boats!\r\n\r\nDr. Nobody?! Why?\n- one\n2. two\n\tthree!!! Four",
    ];
    for (const truncate of [true, false]) {
      for (const split of [true, false]) {
        for (const text of texts) {
          const settings = model.complete({ truncate, split });
          const least = [...(model.leastPieces?.(text, settings) ?? [])];
          const steps = [...model.steps(text, { index: 0, settings })];
          const pieces = steps.filter(({ kind }) => kind === "piece").length;
          const sum = least.reduce((total, count) => total + count, 0);
          assert.ok(sum <= pieces, `${sum} of ${pieces}: ${text.slice(0, 40)}`);
          if (split && text.startsWith("Hi!")) assert.equal(sum, 2);
        }
      }
    }
    const ids = [...(model.leastPieces?.([1, 2, 3], model.complete({})) ?? [])];
    assert.deepEqual(ids, []);
  });

  test("the thread gives what the event loop gives", async () => {
    await using inlineDir = await TempDir.make();
    await using threadDir = await TempDir.make();
    await using inline = await openPreparer(inlineDir, { inlineCharactersMax: 1e9 });
    await using threaded = await openPreparer(threadDir, { inlineCharactersMax: 0 });
    const sources = reference.rows.map((row) => row.source);
    const texts = [
      ...sources,
      sources.join("\n"),
      "",
      "  ",
      "x".repeat(5000),
      "a".repeat(2_000_001),
    ];
    const request = textsRequest(texts);
    const inThread = await threaded.prepare(request);
    assert.deepEqual(inThread.map(plain), (await inline.prepare(request)).map(plain));
  });

  test("a caller who leaves ends the work, on the loop and in the thread", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    for (const text of ["A sentence. ".repeat(1000), "A sentence. ".repeat(100_000)]) {
      const left = new AbortController();
      const work = preparer.prepare(textsRequest([text]), left.signal);
      setImmediate(() => left.abort());
      await assert.rejects(work, { name: "AbortError" });
      await assert.rejects(preparer.prepare(textsRequest(["x"]), left.signal), {
        name: "AbortError",
      });
    }
    const [after] = await preparer.prepare(textsRequest(["Still here."]));
    assert.equal(pieces(after).length, 1);
  });

  test("the event loop lives while a long text and thousands of texts are prepared", async (context) => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    const sources = reference.rows.map((row) => row.source);
    const page = sources.join(" ");
    const [count, characters] = isLong ? [20_000, 1e6] : [2_000, 1e5];
    const repeated = (text: string) =>
      text.repeat(Math.ceil(characters / text.length)).slice(0, characters);
    const work = {
      [`${characters} characters in one text`]: [repeated(page)],
      [`${count} texts`]: Array.from(
        { length: count },
        (_, index) => sources[index % sources.length] ?? "",
      ),
      [`${characters} times one letter`]: [repeated("x")],
    };
    for (const [name, texts] of Object.entries(work)) {
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      const startedAt = performance.now();
      const prepared = await preparer.prepare(textsRequest(texts));
      const tookMs = Math.round(performance.now() - startedAt);
      delay.disable();
      assert.equal(prepared.length, texts.length);
      assert.ok(prepared.every((text) => text.ok && text.pieces.length > 0));
      const [p99, max] = [delay.percentile(99), delay.max].map((ns) => (ns / 1e6).toFixed(1));
      context.diagnostic(`${name}: ${tookMs} ms; event-loop delay p99 ${p99} ms, max ${max} ms`);
    }
  });
});

test("unknown pieces leave nothing, also where the tokenizer does not call them special", async () => {
  await using dir = await TempDir.make();
  const vocabulary = ["</s>", "<unk>", "<pad>", "▁hello", "world"].map((token) => [token, -1]);
  const tokenizer = {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: false },
    post_processor: null,
    decoder: { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: false },
    model: { type: "Unigram", unk_id: 1, vocab: vocabulary },
  };
  await using preparer = await openPreparer(dir, { tokenizer: JSON.stringify(tokenizer) });
  assert.equal(preparer.write([3, 1, 4, 1]), "helloworld");
});

const aroundNothing = {
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
};

test("defect: a piece without a score was never chosen, and nobody heard of it", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("tokenizer.json");
  const open = async (score: unknown): Promise<TextTokenizer> => {
    const vocab = [["<unk>", -9], ["a", -1], score === undefined ? ["b"] : ["b", score]];
    const model = { type: "Unigram", unk_id: 0, vocab };
    await writeFile(path, JSON.stringify({ ...aroundNothing, model }));
    return await TextTokenizer.open({ path, unknownTokenId: null });
  };
  for (const score of [undefined, null, "-2"]) {
    const message = /tokenizer\.json is no tokenizer .*the score of "b" is .*; scores are numbers/;
    await assert.rejects(open(score), { code: "model_folder_invalid", message });
  }
  assert.deepEqual((await open(-2)).encodePlain("ab"), [1, 2]);
});
