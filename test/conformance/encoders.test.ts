/** Encoders in the shapes that repositories have, converted, against what transformers and sentence-transformers answer. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { convertQuietly } from "../support/converted.js";
import { EncoderGraph } from "../support/encoder.js";
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
  readonly pooling?: "mean" | "cls" | "max";
  readonly normalize?: boolean;
  readonly maxTokens: number;
  readonly labels?: readonly string[];
  readonly function?: string;
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

function readReference(name: string): Reference {
  const path = sharedPath("models", "reference", name, "reference.json");
  return JSON.parse(readFileSync(path, "utf8")) as Reference;
}

for (const name of folders) {
  test(name, { skip: skipWithout("models", "reference") }, async (context) => {
    await using dir = await TempDir.make();
    const modelDir = sharedPath("models", "reference", name);
    const reference = readReference(name);
    await convertQuietly({ modelDir, outDir: dir.file("f32") });
    await using graph = await EncoderGraph.open(dir.file("f32"));
    let worst = 0;
    for (const row of reference.rows) {
      const [answer] = await graph.run([{ ids: row.input_ids }], {
        pooling: reference.pooling === "cls" ? "cls" : "mean",
      });
      assert.ok(answer);
      const found = answer.outputs[row.logits ? "logits" : "pooled"] ?? new Float32Array();
      const norm = reference.normalize === true ? Math.hypot(...found) : 1;
      const expected = row.logits ?? row.embedding ?? [];
      assert.equal(found.length, expected.length);
      for (const [i, v] of expected.entries())
        worst = Math.max(worst, Math.abs(v - (found[i] ?? NaN) / norm));
    }
    context.diagnostic(`worst ${worst}`);
    assert.ok(worst < 1e-4, `${worst}`);
  });
}
