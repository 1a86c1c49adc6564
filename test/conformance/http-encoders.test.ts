/** The tasks on encoders through HTTP and a real pipeline: every setting at both ends, and inputs that fail alone. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type ClassifyResponse,
  type EmbedOutcome,
  type EmbedRequest,
  type EmbedResponse,
  type EmbedResult,
  type ErrorResponse,
  headerNames,
  type RerankResponse,
} from "millrace-client/wire";
import type { MillraceServer } from "#src/index.js";
import { encoderWidth, encoderWords, wordAt, writeMadeEncoder } from "../support/made-encoder.js";
import { postJson, startReady } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;

before(async () => {
  temp = await TempDir.make();
  const embedding = { pooling: "max", normalize: true, width: 3, own: true } as const;
  await writeMadeEncoder(temp.file("plain"), { inputTokensMax: 128 });
  await writeMadeEncoder(temp.file("own"), { embedding });
  await writeMadeEncoder(temp.file("labels"), { labels: ["x", "y", "z"] });
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(temp.file("rank"), rank);
  const limits = { bodyBytesMax: 512 * 1024, queuedBytesMax: 2 * 1024 * 1024 };
  server = await startReady({ models: temp.path, ...limits });
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

async function post(path: string, body: object, accept = "application/json"): Promise<Response> {
  return await postJson(`${server.url}${path}`, body, { headers: { accept } });
}

async function json<Body>(path: string, body: object): Promise<Body> {
  const response = await post(path, body);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Body;
}

async function embed(request: EmbedRequest): Promise<readonly EmbedOutcome[]> {
  return (await json<EmbedResponse>("/v1/embed", { model: "plain", ...request })).results;
}

async function vectorOf(request: EmbedRequest): Promise<EmbedResult["embedding"]> {
  const [result] = await embed(request);
  assert.ok(result !== undefined && "embedding" in result, JSON.stringify(result));
  return result.embedding;
}

/** As the made graph has it: `[tokens][width]`. */
function hiddenOf(words: string, layer = 2): readonly (readonly number[])[] {
  const ids = ["[CLS]", ...words.split(" "), "[SEP]"].map((each) =>
    encoderWords.findIndex((other) => other === each),
  );
  return ids.map((id, position) =>
    Array.from({ length: encoderWidth }, (_, at) => (wordAt(id, at) + position / 8) * (1 + layer)),
  );
}

function columns(rows: readonly (readonly number[])[], by: (column: number[]) => number): number[] {
  return Array.from({ length: encoderWidth }, (_, at) => by(rows.map((row) => row[at] ?? 0)));
}
const meanOf = (column: number[]): number => column.reduce((sum, x) => sum + x, 0) / column.length;
const maxOf = (column: number[]): number => Math.max(...column);
const unit = (vector: readonly number[]): number[] =>
  vector.map((x) => x / Math.sqrt(vector.reduce((sum, y) => sum + y * y, 0)));

function near(found: unknown, wanted: readonly number[]): void {
  assert.ok(Array.isArray(found) && found.length === wanted.length, JSON.stringify(found));
  for (const [at, number] of wanted.entries()) {
    assert.ok(
      Math.abs(Number(found[at]) - number) < 1e-5,
      `${String(found)} is not ${wanted.join()}`,
    );
  }
}

describe("embed", () => {
  const texts = "hello world a";
  const hidden = hiddenOf(texts);
  const mean = columns(hidden, meanOf);
  const max = columns(hidden, maxOf);

  test("each pooling, and the model's own", async () => {
    near(await vectorOf({ texts }), mean);
    near(await vectorOf({ texts, pooling: "mean" }), mean);
    near(await vectorOf({ texts, pooling: "max" }), max);
    near(await vectorOf({ texts, pooling: "mean-max" }), [...mean, ...max]);
    near(await vectorOf({ texts, pooling: "cls" }), hidden[0] ?? []);
    near(await vectorOf({ texts, pooling: "sep" }), hidden.at(-1) ?? []);
    const all = await vectorOf({ texts, pooling: "none" });
    near((all as number[][]).flat(), hidden.flat());
    near(await vectorOf({ model: "own", texts }), unit(mean.slice(0, 3).map((x) => -x)));
    near(
      await vectorOf({ model: "own", texts, pooling: "max", normalize: false }),
      mean.slice(0, 3).map((x) => -x),
    );
    near(await vectorOf({ model: "own", texts, pooling: "mean" }), unit(mean));
    near(
      await vectorOf({ model: "own", texts, layer: -3, normalize: false }),
      columns(hiddenOf(texts, 0), maxOf),
    );
  });

  test("each layer from the last to the embeddings", async () => {
    for (const layer of [-1, -2, -3]) {
      near(await vectorOf({ texts, layer, pooling: "cls" }), hiddenOf(texts, 3 + layer)[0] ?? []);
    }
  });

  test("dimensions are the first, and normalised again", async () => {
    near(await vectorOf({ texts, dimensions: 1 }), mean.slice(0, 1));
    near(await vectorOf({ texts, dimensions: 4, normalize: true }), unit(mean));
    near(await vectorOf({ texts, dimensions: 2, normalize: true }), unit(mean.slice(0, 2)));
    const all = await vectorOf({ texts, pooling: "none", dimensions: 2, normalize: true });
    near(
      (all as number[][]).flat(),
      hidden.flatMap((row) => unit(row.slice(0, 2))),
    );
  });

  test("base64 is the same float32 numbers", async () => {
    const text = await vectorOf({ texts, pooling: "mean-max", encoding: "base64" });
    assert.equal(typeof text, "string");
    const bytes = Buffer.from(String(text), "base64");
    near(
      Array.from({ length: 8 }, (_, at) => bytes.readFloatLE(4 * at)),
      [...mean, ...max],
    );
  });

  test("what the model has not is refused, with its name and what there is", async () => {
    const wrong: readonly [object, string, RegExp][] = [
      [{ layer: -4 }, "layer", /is -4; the model has -1 \(the last layer\) to -3/],
      [{ layer: 0 }, "layer", /-1/],
      [{ layer: 1.5 }, "layer", /./],
      [{ dimensions: 5 }, "dimensions", /the model's vectors have 4/],
      [{ dimensions: 9, pooling: "mean-max" }, "dimensions", /have 8/],
      [{ dimensions: 0 }, "dimensions", /./],
      [{ pooling: "avg" }, "pooling", /mean or max or mean-max or cls or sep or none/],
      [{ encoding: "hex" }, "encoding", /./],
      [{ normalize: 1 }, "normalize", /./],
      [{ truncate: "yes" }, "truncate", /./],
      [{ texts: [["a", "b", "a"]] }, "texts[0]", /is a list of 3; a pair has two texts/],
      [{ texts: [] }, "texts", /empty/],
      [{ beams: 4 }, "beams", /There is no field/],
    ];
    for (const [settings, param, message] of wrong) {
      const response = await post("/v1/embed", { model: "plain", texts, ...settings });
      const { error } = (await response.json()) as ErrorResponse;
      assert.equal(error.param, param, JSON.stringify(settings));
      assert.match(error.message, message);
    }
  });

  test("a text that fails fails alone: no number, too long", async () => {
    const results = await embed({ texts: ["hello", "nan", "a ".repeat(127), ""] });
    const codes = results.map((result) => ("error" in result ? result.error.code : "ok"));
    assert.deepEqual(codes, ["ok", "item_failed", "input_too_long", "ok"]);
    const [cut] = await embed({ texts: "a ".repeat(127), truncate: true });
    assert.ok(cut !== undefined && "embedding" in cut);
    assert.deepEqual([cut.inputTokens, cut.truncated], [128, true]);
  });

  test("mixed requests at once have each their own answer, whatever shares their runs", async () => {
    const poolings = ["mean", "cls", "sep", "max", "mean-max", "none"] as const;
    const requests = Array.from({ length: 60 }, (_, index) => ({
      texts: ["hello world a", `a ${"b ".repeat(index % 20)}`],
      pooling: poolings[index % 6] ?? "mean",
      layer: -1 - (index % 2),
    }));
    const alone = new Map<string, string>();
    for (const request of requests.slice(0, 12)) {
      alone.set(`${request.pooling}${request.layer}`, JSON.stringify((await embed(request))[0]));
    }
    const together = await Promise.all(requests.map((request) => embed(request)));
    for (const [index, request] of requests.entries()) {
      const wanted = alone.get(`${request.pooling}${request.layer}`);
      assert.equal(JSON.stringify(together[index]?.[0]), wanted);
    }
  });

  test("rows of bytes, where an input that failed is NaN", async () => {
    const body = { model: "plain", texts: ["hello world a", "nan", "a"] };
    const response = await post("/v1/embed", body, "application/octet-stream");
    assert.equal(response.headers.get("content-type"), "application/octet-stream");
    assert.equal(response.headers.get(headerNames.shape), "3,4");
    assert.equal(response.headers.get(headerNames.failed), "1");
    const rows = new Float32Array(await response.arrayBuffer());
    near([...rows.subarray(0, 4)], mean);
    assert.ok(rows.subarray(4, 8).every(Number.isNaN));
    for (const settings of [{ pooling: "none" }, { encoding: "base64" }]) {
      const refused = await post("/v1/embed", { ...body, ...settings }, "application/octet-stream");
      const { error } = (await refused.json()) as ErrorResponse;
      assert.deepEqual([refused.status, error.code, error.param], [400, "bad_request", "accept"]);
    }
    const none = await post("/v1/embed", { ...body, texts: "nan" }, "application/octet-stream");
    assert.equal(none.headers.get(headerNames.shape), "1,0");
    assert.equal((await none.arrayBuffer()).byteLength, 0);
  });

  test("results that would never fit are refused before any is made", async () => {
    const texts = Array.from({ length: 1_000 }, () => "a ".repeat(60));
    const body = { model: "plain", texts, pooling: "none" };
    const response = await post("/v1/embed", body);
    const { error } = (await response.json()) as ErrorResponse;
    assert.deepEqual([response.status, error.code], [413, "body_too_large"]);
    const fits = await post("/v1/embed", { ...body, pooling: "cls", dimensions: 1 });
    assert.equal(fits.status, 200);
  });

  test("lines, one for each text", async () => {
    const response = await post(
      "/v1/embed",
      { model: "plain", texts: ["a", "nan"] },
      "application/x-ndjson",
    );
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    const byIndex = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(byIndex.filter((line) => "embedding" in line).length, 1);
    assert.equal(byIndex.filter((line) => line["index"] === 1 && "error" in line).length, 1);
    assert.ok("done" in (byIndex.at(-1) ?? {}));
  });
});

describe("classify", () => {
  /** The graph's logits: the largest of each of the first dimensions. */
  const logitsOf = (words: string): number[] => columns(hiddenOf(words, 0), maxOf).slice(0, 3);

  test("labels are sorted by their scores, logits are as the model has them", async () => {
    const logits = logitsOf("hello world");
    const parts = logits.map((logit) => Math.exp(logit));
    const sum = parts.reduce((total, part) => total + part, 0);
    const request = { model: "labels", texts: ["hello world", "nan", ["a", "b"]], raw: true };
    const { results } = await json<ClassifyResponse>("/v1/classify", request);
    const [first, second, third] = results;
    assert.ok(first !== undefined && "labels" in first && third !== undefined && "labels" in third);
    near(first.logits, logits);
    const scores = new Map(first.labels.map(({ label, score }) => [label, score]));
    near(
      ["x", "y", "z"].map((label) => scores.get(label)),
      parts.map((part) => part / sum),
    );
    assert.deepEqual(
      first.labels,
      first.labels.toSorted((a, b) => b.score - a.score),
    );
    assert.ok(second !== undefined && "error" in second && second.error.code === "item_failed");
    assert.deepEqual([first.inputTokens, third.inputTokens], [4, 5]);
  });

  test("topK at both ends", async () => {
    const request = { model: "labels", texts: "hello" };
    for (const [topK, length] of [
      [1, 1],
      [2, 2],
      [100_000, 3],
    ] as const) {
      const { results } = await json<ClassifyResponse>("/v1/classify", { ...request, topK });
      const [result] = results;
      assert.ok(result !== undefined && "labels" in result);
      assert.equal(result.labels.length, length);
      assert.equal(result.logits, undefined);
    }
    for (const topK of [0, 100_001, 1.5]) {
      assert.equal((await post("/v1/classify", { ...request, topK })).status, 400);
    }
  });

  test("two texts are no pair, a list of three is none", async () => {
    const { results } = await json<ClassifyResponse>("/v1/classify", {
      model: "labels",
      texts: ["a", "b"],
    });
    assert.equal(results.length, 2);
    for (const texts of [[["a"]], [["a", "b", "a"]], [["a", 1]], [[]]]) {
      assert.equal((await post("/v1/classify", { model: "labels", texts })).status, 400);
    }
  });
});

describe("rerank", () => {
  test("a query beside texts is what pairs are", async () => {
    const texts = ["a", "", "good bad"];
    const query = "hello";
    const byQuery = await json<RerankResponse>("/v1/rerank", { query, texts, raw: true });
    const pairs = texts.map((text) => [query, text]);
    const byPairs = await json<RerankResponse>("/v1/rerank", { texts: pairs, raw: true });
    assert.deepEqual(byQuery.results, byPairs.results);
    for (const result of byQuery.results) {
      assert.ok("score" in result && result.logit !== undefined);
      near([result.score], [1 / (1 + Math.exp(-result.logit))]);
    }
  });

  test("a query and pairs, or neither, are refused", async () => {
    for (const [body, param] of [
      [{ query: "a", texts: [["a", "b"]] }, "texts[0]"],
      [{ texts: [["a", "b"], "a"] }, "texts[1]"],
      [{ query: 1, texts: ["a"] }, "query"],
      [{ query: "\ud800", texts: ["a"] }, "query"],
    ] as const) {
      const response = await post("/v1/rerank", body);
      const { error } = (await response.json()) as ErrorResponse;
      assert.deepEqual([response.status, error.param], [400, param]);
    }
  });
});
