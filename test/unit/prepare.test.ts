import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { before, describe, test } from "node:test";
import { ModelRegistry } from "#src/models/registry.js";
import type { PreparedText } from "#src/prepare/prepared.js";
import { Preparer } from "#src/prepare/preparer.js";
import { TextTokenizer } from "#src/prepare/text-tokenizer.js";
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

const never = new AbortController().signal;
const skip = skipWithout("models", "en-zh", "tokenizer.json");

/** A registry of one folder with the real tokenizer and graphs that are none, and a preparer on it. */
async function openPreparer(
  dir: TempDir,
  options: {
    inputTokensMax?: number;
    itemCharactersMax?: number;
    inlineCharactersMax?: number;
  } = {},
) {
  const tokenizer = await readFile(sharedPath("models", "en-zh", "tokenizer.json"), "utf8");
  const contents = { "tokenizer.json": tokenizer };
  const manifest = manifestOf("en-zh", contents);
  const limits = { ...manifest.limits, inputTokensMax: options.inputTokensMax ?? 128 };
  await writeModelFolder(dir.path, { ...manifest, limits }, contents);
  const registry = await ModelRegistry.open(dir.path);
  const { itemCharactersMax = 2_000_000, inlineCharactersMax } = options;
  return await Preparer.open({
    registry,
    itemCharactersMax,
    ...(inlineCharactersMax === undefined ? {} : { inlineCharactersMax }),
  });
}

function textsRequest(
  texts: readonly string[],
  options: { split?: boolean; truncate?: boolean } = {},
) {
  const { split = true, truncate = false } = options;
  return { model: "en-zh", inputs: { kind: "texts", texts }, split, truncate } as const;
}

function idsRequest(tokenIds: readonly (readonly number[])[], truncate = false) {
  return { model: "en-zh", inputs: { kind: "tokenIds", tokenIds }, split: true, truncate } as const;
}

function pieces(text: PreparedText | undefined) {
  assert.ok(text?.ok, JSON.stringify(text));
  return text.pieces;
}

function failure(text: PreparedText | undefined) {
  assert.ok(text?.ok === false, JSON.stringify(text));
  return text.error;
}

describe("prepare with the shared tokenizer", { skip }, () => {
  let reference: Reference = { rows: [] };
  before(async () => {
    const path = sharedPath("models", "en-zh", "reference.json");
    reference = JSON.parse(await readFile(path, "utf8")) as Reference;
  });

  test("ids and texts are those of transformers, on all the reference sentences", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    const sources = reference.rows.map((row) => row.source);
    const prepared = await preparer.prepare(textsRequest(sources, { split: false }), never);
    assert.equal(reference.rows.length, 1000);
    for (const [index, row] of reference.rows.entries()) {
      assert.deepEqual(
        pieces(prepared[index]),
        [{ tokenIds: row.input_ids, joiner: "" }],
        row.source,
      );
      assert.equal(preparer.detokenize("en-zh", row.greedy.ids), row.greedy.text);
      assert.equal(preparer.detokenize("en-zh", row.beam4.ids), row.beam4.text);
    }
  });

  test("a text is split into sentences, and its white space is kept beside them", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    const texts = ["\n Hello there.  How are you?\n\nFine.\n", " \t\n", "", "One."];
    const prepared = await preparer.prepare(textsRequest(texts), never);
    const [first, blank, empty, last] = prepared;
    assert.ok(first?.ok);
    assert.equal(first.prefix, "\n ");
    assert.deepEqual(
      first.pieces.map(({ tokenIds, joiner }) => [preparer.detokenize("en-zh", tokenIds), joiner]),
      [
        ["Hello there.", "  "],
        ["How are you?", "\n\n"],
        ["Fine.", "\n"],
      ],
    );
    assert.deepEqual(blank, { ok: true, prefix: " \t\n", pieces: [], truncated: false });
    assert.deepEqual(empty, { ok: true, prefix: "", pieces: [], truncated: false });
    assert.equal(pieces(last).length, 1);
    const whole = await preparer.prepare(textsRequest(texts, { split: false }), never);
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
    const prepared = await preparer.prepare(textsRequest(texts), never);
    for (const [index, text] of prepared.entries()) {
      const all = pieces(text);
      assert.ok(all.length > 1, `text ${index}`);
      assert.ok(all.every(({ tokenIds }) => tokenIds.length <= 16 && tokenIds.at(-1) === 0));
    }
    const [first] = prepared;
    const written = pieces(first).map((piece) => preparer.detokenize("en-zh", piece.tokenIds));
    assert.ok(
      written.every((text) => text.endsWith(",")),
      JSON.stringify(written),
    );
  });

  test("without split, a text over the limit fails alone, or is cut where the caller allows it", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir, { inputTokensMax: 8 });
    const texts = ["Hello.", "word ".repeat(20), "word ".repeat(100_000), "Goodbye."];
    const refused = await preparer.prepare(textsRequest(texts, { split: false }), never);
    assert.equal(failure(refused[1]).code, "input_too_long");
    assert.equal(failure(refused[1]).param, "texts[1]");
    assert.equal(failure(refused[2]).code, "input_too_long");
    assert.equal(pieces(refused[0]).length, 1);
    assert.equal(pieces(refused[3]).length, 1);
    const cut = await preparer.prepare(
      textsRequest(texts, { split: false, truncate: true }),
      never,
    );
    for (const text of [cut[1], cut[2]]) {
      const [piece] = pieces(text);
      assert.equal(piece?.tokenIds.length, 8);
      assert.equal(piece?.tokenIds.at(-1), 0, "the end token is kept");
      assert.ok(text?.ok && text.truncated);
    }
    assert.ok(cut[0]?.ok && !cut[0].truncated);
  });

  test("the cap on characters holds for each text alone", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir, { itemCharactersMax: 10 });
    const texts = ["0123456789", "01234567890", "012345678\u{1F600}"];
    const refused = await preparer.prepare(textsRequest(texts), never);
    assert.equal(refused[0]?.ok, true);
    assert.equal(failure(refused[1]).code, "input_too_long");
    assert.match(failure(refused[1]).message, /texts\[1\] has 11 characters; the limit is 10/);
    const cut = await preparer.prepare(textsRequest(texts, { truncate: true }), never);
    assert.ok(cut[1]?.ok && cut[1].truncated);
    assert.deepEqual(
      pieces(cut[2]),
      pieces((await preparer.prepare(textsRequest(["012345678"]), never))[0]),
    );
  });

  test("token ids are taken as they are, each list checked alone", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir, { inputTokensMax: 4 });
    const lists = [[5, 6, 0], [5, 6], [], [5, 6000], [-1, 0], [1.5], [5, 6, 7, 8, 0]];
    const prepared = await preparer.prepare(idsRequest(lists), never);
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
    const [cut] = await preparer.prepare(idsRequest([[5, 6, 7, 8, 0]], true), never);
    assert.deepEqual(pieces(cut), [{ tokenIds: [5, 6, 7, 0], joiner: "" }]);
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
    assert.deepEqual(await threaded.prepare(request, never), await inline.prepare(request, never));
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
    const [after] = await preparer.prepare(textsRequest(["Still here."]), never);
    assert.equal(pieces(after).length, 1);
  });

  test("an unknown model is refused by name", async () => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    const request = { ...textsRequest(["x"]), model: "other" };
    await assert.rejects(preparer.prepare(request, never), { code: "model_not_found" });
    assert.throws(() => preparer.detokenize("other", [1]), { code: "model_not_found" });
    assert.equal(preparer.detokenize("en-zh", []), "");
    assert.equal(preparer.detokenize("en-zh", [0, 1, 2]), "");
  });

  test("the event loop lives while a megabyte and 20,000 texts are prepared", async (context) => {
    await using dir = await TempDir.make();
    await using preparer = await openPreparer(dir);
    const sources = reference.rows.map((row) => row.source);
    const page = sources.join(" ");
    const work = {
      "1 MB in one text": [page.repeat(Math.ceil(1e6 / page.length)).slice(0, 1e6)],
      "20,000 texts": Array.from({ length: 20_000 }, (_, index) => sources[index % 1000] ?? ""),
      "1 MB of one letter": ["x".repeat(1e6)],
    };
    for (const [name, texts] of Object.entries(work)) {
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      const startedAt = performance.now();
      const prepared = await preparer.prepare(textsRequest(texts), never);
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
  const contents = { "tokenizer.json": JSON.stringify(tokenizer) };
  await writeModelFolder(dir.path, manifestOf("en-zh", contents), contents);
  const registry = await ModelRegistry.open(dir.path);
  await using preparer = await Preparer.open({ registry, itemCharactersMax: 100 });
  assert.equal(preparer.detokenize("en-zh", [3, 1, 4, 1]), "helloworld");
});

test("a folder without a tokenizer is named", async () => {
  await using dir = await TempDir.make();
  const contents = { "tokenizer.json": "{}" };
  await writeModelFolder(dir.path, manifestOf("m", contents), contents);
  const registry = await ModelRegistry.open(dir.path);
  await assert.rejects(TextTokenizer.open(registry.get(null)), {
    code: "model_folder_invalid",
    message: /tokenizer\.json: model/,
  });
});
