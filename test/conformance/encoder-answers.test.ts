/**
 * Encoders in the shapes that repositories have, converted and served: what the API answers is what transformers and
 * sentence-transformers answered, each text alone and all together. The graphs of all folders: encoders.test.ts.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type {
  ClassifyResult,
  EmbedPooling,
  EmbedResult,
  ItemError,
  RerankResult,
  TextOrPair,
} from "millrace-client/wire";
import type { MillraceServer } from "#src/index.js";
import { convertQuietly } from "../support/converted.js";
import { postJson, startReady } from "../support/real-server.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const tolerance = 1e-4;

interface Row {
  readonly text: TextOrPair;
  readonly input_ids: readonly number[];
  readonly embedding?: readonly number[];
  readonly logits?: readonly number[];
  readonly scores?: readonly number[];
}

type Layers = Readonly<Record<"layer-1" | "layer-2", Readonly<Record<string, readonly number[]>>>>;

interface Reference<Each extends Row = Row> {
  readonly task: string;
  readonly labels?: readonly string[];
  readonly rows: readonly Each[];
}

type Result = EmbedResult | ClassifyResult | RerankResult | ItemError;

const folders = ["xlmr-st-cls-sharded", "roberta-multilabel", "bert-rerank"] as const;
const small = "bert-small-random";
let temp: TempDir;
let server: MillraceServer;

function folderOf(name: string): string {
  return name === small ? sharedPath("models", small) : sharedPath("models", "reference", name);
}

function readReference<Each extends Row = Row>(name: string): Reference<Each> {
  return JSON.parse(readFileSync(`${folderOf(name)}/reference.json`, "utf8")) as Reference<Each>;
}

async function ask(task: string, body: object): Promise<readonly Result[]> {
  const response = await postJson(`${server.url}/v1/${task}`, { truncate: true, ...body });
  assert.equal(response.status, 200, await response.clone().text());
  return ((await response.json()) as { readonly results: readonly Result[] }).results;
}

function near(found: unknown, wanted: readonly number[] | undefined, what: string): void {
  assert.ok(Array.isArray(found) && wanted !== undefined && found.length === wanted.length, what);
  for (const [at, number] of wanted.entries()) {
    assert.ok(Math.abs(Number(found[at]) - number) <= tolerance, `${what}, number ${at}`);
  }
}

describe("served answers", { skip: skipWithout("models", "reference") }, () => {
  before(async () => {
    temp = await TempDir.make();
    for (const name of [...folders, small]) {
      await convertQuietly({ modelDir: folderOf(name), outDir: temp.file(name) });
    }
    server = await startReady({ models: temp.path });
  });

  after(async () => {
    await server.close();
    await temp[Symbol.asyncDispose]();
  });

  for (const name of folders) {
    test(name, async () => {
      const { task, labels = [], rows } = readReference(name);
      const check = (result: Result | undefined, row: Row): void => {
        const what = `${name}: ${JSON.stringify(row.text).slice(0, 60)}`;
        assert.ok(
          result !== undefined && !("error" in result),
          `${what} ${JSON.stringify(result)}`,
        );
        assert.equal(result.inputTokens, row.input_ids.length, what);
        if ("embedding" in result) near(result.embedding, row.embedding, what);
        else if ("labels" in result) {
          near(result.logits, row.logits, what);
          const scores = new Map(result.labels.map(({ label, score }) => [label, score]));
          near(
            labels.map((label) => scores.get(label)),
            row.scores,
            what,
          );
        } else {
          near([result.score], row.scores, what);
          near([result.logit], row.logits, what);
        }
      };
      const raw = task === "embed" ? {} : { raw: true };
      const texts = rows.map(({ text }) => text);
      const together = await ask(task, { model: name, texts, ...raw });
      for (const [index, row] of rows.entries()) check(together[index], row);
      for (const row of rows) {
        const [alone] = await ask(task, { model: name, texts: [row.text], ...raw });
        check(alone, row);
      }
    });
  }

  test("poolings and layers of bert-small-random", async () => {
    const poolings: Readonly<Record<string, EmbedPooling>> = {
      REDUCE_MEAN: "mean",
      REDUCE_MAX: "max",
      CLS_TOKEN: "cls",
      SEP_TOKEN: "sep",
    };
    // Pairs are none of this task's.
    const { rows } = readReference<Row & Layers>(small);
    const singles = rows.filter(({ text }) => typeof text === "string");
    const texts = singles.map(({ text }) => text);
    for (const layer of [-1, -2] as const) {
      for (const [name, pooling] of Object.entries(poolings)) {
        const results = await ask("embed", { model: small, texts, layer, pooling });
        for (const [index, row] of singles.entries()) {
          const result = results[index];
          assert.ok(result !== undefined && "embedding" in result);
          near(result.embedding, row[`layer${layer}`][name], `${pooling} of layer ${layer}`);
        }
      }
    }
  });
});
