/**
 * Encoders in the shapes that repositories have, converted: against what transformers and sentence-transformers answer one
 * text at a time, and against themselves in company. The graphs are run by themselves, without an engine.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Precision } from "#src/models/manifest-base.js";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { Random } from "../sim/random.js";
import { convertQuietly } from "../support/converted.js";
import { type EncoderAnswer, EncoderGraph, type EncoderText } from "../support/encoder.js";
import { isLong } from "../support/long.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

interface ReferenceRow {
  readonly text: string | readonly [string, string];
  readonly input_ids: readonly number[];
  readonly embedding?: readonly number[];
  readonly logits?: readonly number[];
}

interface Reference {
  readonly task: "embed" | "classify" | "rerank";
  readonly pooling?: "mean" | "cls" | undefined;
  readonly normalize?: boolean;
  readonly function?: "softmax" | "sigmoid";
  readonly labels?: readonly string[];
  readonly maxTokens: number;
  readonly rows: readonly ReferenceRow[];
}

const folders = [
  "bert-st-mean",
  "bert-st-cls-bin",
  "roberta-st-mean",
  "xlmr-st-cls-sharded",
  "distilbert-mean",
  "mpnet-st-mean",
  "modernbert-cls",
  "bert-classify",
  "roberta-multilabel",
  "bert-rerank",
  "distilbert-classify-bin",
] as const;

const tolerance = 1e-4;
/** Of int8, with made weights; those that people have do better. */
const cosineMin = 0.99;

for (const name of folders) {
  test(name, { skip: skipWithout("models", "reference") }, async (context) => {
    await using dir = await TempDir.make();
    const modelDir = sharedPath("models", "reference", name);
    const reference = readJson<Reference>(join(modelDir, "reference.json"));
    const texts = tokenize(modelDir, reference);
    for (const precision of precisionsOf(name)) {
      await convertQuietly({ modelDir, outDir: dir.file(precision), precision });
      await using graph = await EncoderGraph.open(dir.file(precision));
      checkManifest(graph, reference);
      const alone = await runAlone(graph, texts, reference.pooling);
      checkAnswers(context, { precision, reference, alone });
      await checkCompany(graph, { precision, texts, alone, pooling: reference.pooling });
    }
  });
}

/** In int8, which is calibrated, only some of them in the short run: one that is usual, and the one that is most unlike it. */
function precisionsOf(name: string): readonly Precision[] {
  const isCalibrated = isLong || name === "bert-st-mean" || name === "modernbert-cls";
  return isCalibrated ? ["f32", "int8"] : ["f32"];
}

/** The ids of the folder's tokenizer, which must be transformers'. */
function tokenize(
  modelDir: string,
  { rows, maxTokens }: Pick<Reference, "rows" | "maxTokens">,
): EncoderText[] {
  const tokenizer = createTokenizer(readJson<object>(join(modelDir, "tokenizer.json")), {});
  return rows.map(({ text, input_ids: expected }) => {
    const [first, second] = typeof text === "string" ? [text] : text;
    const { ids, token_type_ids: types } =
      second === undefined
        ? tokenizer.encode(first)
        : tokenizer.encode(first, { text_pair: second, return_token_type_ids: true });
    const last = ids.slice(-1);
    const cut = ids.length > maxTokens ? [...ids.slice(0, maxTokens - 1), ...last] : ids;
    assert.deepEqual(cut, expected, String(text));
    return types === undefined ? { ids: cut } : { ids: cut, types };
  });
}

function checkManifest({ manifest }: EncoderGraph, reference: Reference): void {
  assert.equal(manifest.task, reference.task);
  assert.equal(manifest.limits.inputTokensMax, reference.maxTokens);
  assert.equal(manifest.scores, reference.function ?? null);
  assert.deepEqual(manifest.labels, reference.labels ?? null);
  if (reference.task !== "embed") return;
  const { pooling, normalize } = manifest.embedding ?? {};
  assert.deepEqual(
    { pooling, normalize },
    { pooling: reference.pooling, normalize: reference.normalize },
  );
}

async function runAlone(
  graph: EncoderGraph,
  texts: readonly EncoderText[],
  pooling: Reference["pooling"] = "mean",
): Promise<EncoderAnswer[]> {
  const answers: EncoderAnswer[] = [];
  for (const text of texts) answers.push(...(await graph.run([text], { pooling })));
  return answers;
}

function checkAnswers(
  context: TestContext,
  of: {
    readonly precision: Precision;
    readonly reference: Reference;
    readonly alone: readonly EncoderAnswer[];
  },
): void {
  const { precision, reference, alone } = of;
  let farthest = 0;
  let leastCosine = 1;
  for (const [index, { embedding, logits, text }] of reference.rows.entries()) {
    const expected = embedding ?? logits ?? [];
    const outputs = alone[index]?.outputs ?? {};
    const found = outputs[logits === undefined ? "pooled" : "logits"] ?? [];
    const length = reference.normalize === true ? Math.hypot(...found) : 1;
    assert.equal(found.length, expected.length, String(text));
    for (const [at, value] of expected.entries()) {
      farthest = Math.max(farthest, Math.abs((found[at] ?? Number.NaN) / length - value));
    }
    leastCosine = Math.min(leastCosine, cosine(found, expected));
  }
  context.diagnostic(
    `${precision}: at most ${farthest.toExponential(1)} off, cosine ${leastCosine.toFixed(5)}`,
  );
  if (precision === "f32") assert.ok(farthest <= tolerance, `${farthest} off`);
  else if (reference.task === "embed") assert.ok(leastCosine >= cosineMin, `cosine ${leastCosine}`);
}

/** In batches of other texts, in another order, and wider than need be. */
async function checkCompany(
  graph: EncoderGraph,
  of: {
    readonly precision: Precision;
    readonly texts: readonly EncoderText[];
    readonly alone: readonly EncoderAnswer[];
    readonly pooling?: "mean" | "cls" | undefined;
  },
): Promise<void> {
  const { precision, texts, alone, pooling = "mean" } = of;
  const random = new Random(7);
  const indexes = texts.map((_, index) => index);
  const sizes = precision === "int8" ? [2, 5] : [5];
  const batches = sizes.flatMap((size) => chunks(random.shuffled(indexes), size));
  for (const batch of [...batches, random.shuffled(indexes)]) {
    const some = batch.flatMap((index) => texts[index] ?? []);
    const longest = Math.max(...some.map(({ ids }) => ids.length));
    const width = 16 * (Math.ceil(longest / 16) + random.int(0, 2));
    const answers = await graph.run(some, { width, pooling });
    for (const [place, index] of batch.entries()) {
      const pair = { found: answers[place], expected: alone[index] };
      checkSame(precision, pair, `text ${index} of ${batch.join()}`);
    }
  }
}

/** To the byte, or in float32 within what sums in another order make. */
function checkSame(
  precision: Precision,
  {
    found,
    expected,
  }: {
    readonly found: EncoderAnswer | undefined;
    readonly expected: EncoderAnswer | undefined;
  },
  message: string,
): void {
  assert.ok(found !== undefined && expected !== undefined);
  const all = (answer: EncoderAnswer) => [...Object.values(answer.outputs), answer.tokens ?? []];
  if (precision === "int8") return assert.deepEqual(all(found), all(expected), message);
  for (const [number, values] of all(expected).entries()) {
    const others: ArrayLike<number> = all(found)[number] ?? [];
    assert.equal(others.length, values.length, message);
    values.forEach((value: number, at: number) => {
      assert.ok(Math.abs((others[at] ?? Number.NaN) - value) <= tolerance, message);
    });
  }
}

// ── Every pooling, and another layer ───────────────────────────────────────────────────────────────────────────────

type Poolings = Readonly<
  Record<"REDUCE_MEAN" | "REDUCE_MAX" | "CLS_TOKEN" | "SEP_TOKEN", number[]>
>;

interface PoolingRow extends ReferenceRow {
  readonly token_type_ids: readonly number[];
  readonly "layer-1": Poolings;
  readonly "layer-2": Poolings;
}

test("bert-small-random: every pooling of the last layer and the one before", {
  skip: skipWithout("models", "bert-small-random"),
}, async (context) => {
  await using dir = await TempDir.make();
  const modelDir = sharedPath("models", "bert-small-random");
  const { rows } = readJson<{ readonly rows: readonly PoolingRow[] }>(
    join(modelDir, "reference.json"),
  );
  const texts = tokenize(modelDir, { rows, maxTokens: 512 });
  for (const [index, { types }] of texts.entries()) {
    if (types !== undefined) assert.deepEqual(types, rows[index]?.token_type_ids);
  }
  for (const precision of ["f32", "int8"] as const) {
    await convertQuietly({ modelDir, outDir: dir.file(precision), precision });
    await using graph = await EncoderGraph.open(dir.file(precision));
    let farthest = 0;
    let leastCosine = 1;
    for (const [key, layer] of [
      ["layer-1", 4],
      ["layer-2", 3],
    ] as const) {
      for (const [name, output, pooling] of [
        ["REDUCE_MEAN", "pooled", "mean"],
        ["CLS_TOKEN", "pooled", "cls"],
        ["SEP_TOKEN", "pooled", "sep"],
        ["REDUCE_MAX", "max", "mean"],
      ] as const) {
        const answers = await graph.run(texts, { layer, pooling });
        for (const [index, row] of rows.entries()) {
          const expected = row[key][name];
          const found = answers[index]?.outputs[output] ?? [];
          leastCosine = Math.min(leastCosine, cosine(found, expected));
          for (const [at, value] of expected.entries()) {
            farthest = Math.max(farthest, Math.abs((found[at] ?? Number.NaN) - value));
          }
        }
      }
    }
    context.diagnostic(
      `${precision}: at most ${farthest.toExponential(1)} off, cosine ${leastCosine.toFixed(5)}`,
    );
    if (precision === "f32") assert.ok(farthest <= tolerance, `${farthest} off`);
    else assert.ok(leastCosine >= cosineMin, `cosine ${leastCosine}`);
    await using threaded = await EncoderGraph.open(dir.file(precision), { threads: 2 });
    await checkCompany(threaded, { precision, texts, alone: await runAlone(graph, texts) });
  }
});

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let product = 0;
  for (let at = 0; at < b.length; at += 1) product += (a[at] ?? 0) * (b[at] ?? 0);
  return product / (Math.hypot(...Array.from(a)) * Math.hypot(...Array.from(b)));
}

function chunks(indexes: readonly number[], size: number): number[][] {
  const count = Math.ceil(indexes.length / size);
  return Array.from({ length: count }, (_, at) => indexes.slice(at * size, (at + 1) * size));
}

function readJson<Value>(path: string): Value {
  return JSON.parse(readFileSync(path, "utf8")) as Value;
}
