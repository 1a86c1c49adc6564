/** text-embeddings-inference's protocol through HTTP and real pipelines: its shapes, its numbers, its errors, as its clients know them. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { EmbedResult } from "millrace-client/wire";
import type { MillraceServer } from "#src/index.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { copyTranslator, postJson, startReady } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;

async function start(models: string, options: object = {}): Promise<MillraceServer> {
  return await startReady({ models, requestInputsMax: 32, ...options });
}

before(async () => {
  temp = await TempDir.make();
  await writeMadeEncoder(temp.file("plain"));
  await writeMadeEncoder(temp.file("labels"), { labels: ["x", "y", "z"] });
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(temp.file("rank"), rank);
  await copyTranslator(temp.file("en-zh"));
  server = await start(temp.path);
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

async function post(path: string, body: unknown, url = server.url): Promise<Response> {
  return await postJson(`${url}${path}`, body);
}

async function ask<Reply>(path: string, body: unknown, url = server.url): Promise<Reply> {
  const response = await post(path, body, url);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Reply;
}

async function native(task: string, body: object): Promise<readonly EmbedResult[]> {
  const { results } = await ask<{ results: EmbedResult[] }>(`/v1/${task}`, body);
  return results;
}

async function vectors(body: object): Promise<readonly EmbedResult["embedding"][]> {
  return (await native("embed", { model: "plain", ...body })).map(({ embedding }) => embedding);
}

describe("/embed", () => {
  test("a list of vectors, of one text too, normalised unless said otherwise", async () => {
    const texts = ["hello world", "a b"];
    const unit = await vectors({ texts, normalize: true });
    assert.deepEqual(await ask("/embed", { inputs: texts }), unit);
    assert.deepEqual(await ask("/embed", { inputs: "hello world" }), unit.slice(0, 1));
    assert.deepEqual(
      await ask("/embed", { inputs: texts, normalize: false }),
      await vectors({ texts }),
    );
    const two = await vectors({ texts, normalize: true, dimensions: 2 });
    assert.deepEqual(await ask("/embed", { inputs: texts, dimensions: 2 }), two);
    const nulls = { truncate: null, prompt_name: null, dimensions: null, more: "is not read" };
    assert.deepEqual(await ask("/embed", { inputs: texts, ...nulls }), unit);
  });

  test("token ids of one text, or lists of them", async () => {
    const [unit] = await vectors({ texts: "hello world", normalize: true });
    assert.deepEqual(await ask("/embed", { inputs: [2, 4, 5, 3] }), [unit]);
    assert.deepEqual(await ask("/embed", { inputs: [[2, 4, 5, 3]] }), [unit]);
  });

  test("what is too long is refused, or cut at the end that is named", async () => {
    const inputs = `good ${"a ".repeat(60)}bad`;
    const response = await post("/embed", { inputs });
    assert.equal(response.status, 422);
    const said = (await response.json()) as { error: string; error_type: string };
    assert.equal(said.error_type, "Validation");
    assert.match(said.error, /^inputs\[0\] has 64 tokens; the limit is 32$/);
    const cut = await ask("/embed", { inputs, truncate: true });
    assert.deepEqual(cut, await vectors({ texts: inputs, truncate: true, normalize: true }));
    const left = { inputs, truncate: true, truncation_direction: "Left" };
    const start = { texts: inputs, truncate: true, truncateFrom: "start", normalize: true };
    assert.deepEqual(await ask("/embed", left), await vectors(start));
  });

  test("headers say where the time went, in whole milliseconds, and what was read", async () => {
    const { headers } = await post("/embed", { inputs: ["hello 😀", "a"] });
    assert.equal(headers.get("x-compute-characters"), "8");
    assert.equal(headers.get("x-compute-tokens"), "7");
    assert.equal(headers.get("x-compute-type"), "cpu");
    const times = ["compute", "total", "tokenization", "queue", "inference"];
    for (const name of times) assert.match(headers.get(`x-${name}-time`) ?? "", /^\d+$/, name);
  });

  test("embed_all has the vector of every token, as the model gave it", async () => {
    const all = await vectors({ texts: ["hello", "a b"], pooling: "none" });
    assert.deepEqual(await ask("/embed_all", { inputs: ["hello", "a b"] }), all);
  });

  test("similarity is the cosine of the source and each sentence", async () => {
    const inputs = { source_sentence: "hello", sentences: ["hello", "world a"] };
    const [same, other] = await ask<number[]>("/similarity", { inputs, parameters: {} });
    const [left, , right] = (await vectors({
      texts: ["hello", "hello", "world a"],
      normalize: true,
    })) as number[][];
    const cosine = left?.reduce((sum, x, at) => sum + x * (right?.[at] ?? 0), 0) ?? Number.NaN;
    assert.ok(Math.abs((same ?? 0) - 1) < 1e-6 && Math.abs((other ?? 0) - cosine) < 1e-6);
  });
});

describe("/predict", () => {
  interface Prediction {
    readonly score: number;
    readonly label: string;
  }

  test("a text and a pair have one list, a batch a list of lists", async () => {
    const one = await ask<Prediction[]>("/predict", { inputs: "hello" });
    assert.deepEqual(one.map(({ label }) => label).toSorted(), ["x", "y", "z"]);
    assert.ok(
      one.every(({ score }, at) => score <= (one[at - 1]?.score ?? 1)),
      "the best first",
    );
    const pair = await ask<Prediction[]>("/predict", { inputs: ["hello", "world"] });
    assert.deepEqual(await ask("/predict", { inputs: ["hello"] }), one);
    assert.deepEqual(await ask("/predict", { inputs: [["hello"], ["hello", "world"]] }), [
      one,
      pair,
    ]);
    assert.notDeepEqual(pair, one);
  });

  test("raw scores are the logits, each with its label", async () => {
    const [result] = await native("classify", { model: "labels", texts: ["hello"], raw: true });
    const { logits } = result as unknown as { logits: number[] };
    const raw = await ask<Prediction[]>("/predict", { inputs: "hello", raw_scores: true });
    const byLabel = new Map(raw.map(({ label, score }) => [label, score]));
    assert.deepEqual(
      ["x", "y", "z"].map((label) => byLabel.get(label)),
      logits,
    );
  });
});

test("/rerank: sorted by the score, with the texts where they are wanted", async () => {
  const body = { query: "hello", texts: ["a", "world", "good"] };
  const ranks = await ask<{ index: number; score: number; text?: string }[]>("/rerank", body);
  const found = (await native("rerank", { model: "rank", ...body })) as unknown as {
    score: number;
  }[];
  for (const [at, { index, score, ...rest }] of ranks.entries()) {
    assert.deepEqual(rest, {});
    assert.ok(Math.abs(score - (found[index]?.score ?? Number.NaN)) < 1e-6);
    assert.ok(score <= (ranks[at - 1]?.score ?? 1));
  }
  const told = await ask<{ index: number; text: string; score: number }[]>("/rerank", {
    ...body,
    return_text: true,
    raw_scores: true,
  });
  assert.deepEqual(
    told.map(({ index }) => index),
    ranks.map(({ index }) => index),
  );
  assert.deepEqual(
    told.map(({ index, text }) => body.texts[index] === text),
    [true, true, true],
  );
});

test("/tokenize: a token's text is what stands in the input; /decode goes back", async () => {
  assert.deepEqual(await ask("/tokenize", { inputs: "Hello worlds" }), [
    [
      { id: 2, text: "[CLS]", special: true, start: null, stop: null },
      { id: 4, text: "Hello", special: false, start: 0, stop: 5 },
      { id: 5, text: "world", special: false, start: 6, stop: 11 },
      { id: 11, text: "s", special: false, start: 11, stop: 12 },
      { id: 3, text: "[SEP]", special: true, start: null, stop: null },
    ],
  ]);
  const plain = await ask<unknown[][]>("/tokenize", {
    inputs: ["a", "b"],
    add_special_tokens: false,
  });
  assert.deepEqual(
    plain.map(({ length }) => length),
    [1, 1],
  );
  assert.deepEqual(await ask("/decode", { ids: [2, 4, 5, 3] }), ["hello world"]);
  assert.deepEqual(await ask("/decode", { ids: [[4], [2, 5]], skip_special_tokens: false }), [
    "hello",
    "[CLS] world",
  ]);
});

test("/info says what is served, / is what the model is for", async () => {
  const info = (await (await fetch(`${server.url}/info`)).json()) as Record<string, unknown>;
  assert.equal(info["model_id"], "plain");
  assert.deepEqual(info["model_type"], { embedding: { pooling: "mean" } });
  assert.equal(info["max_client_batch_size"], 32);
  assert.equal(info["auto_truncate"], false);
  assert.equal(info["max_input_length"], 32);
  assert.deepEqual(await ask("/", { inputs: "a" }), await ask("/embed", { inputs: "a" }));
  // Where it is named before the page.
  await using first = await start(temp.path, { teiModel: "plain", fronts: "tei,page" });
  for (const path of ["/health", "/ping", "/"]) {
    const health = await fetch(`${first.url}${path}`);
    assert.equal(health.status, 200);
    assert.equal(await health.text(), "");
  }
});

test("defect: who opens the address in a browser sees no empty page", async () => {
  const headers = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
  await using first = await start(temp.path, { teiModel: "plain", fronts: "tei,page" });
  assert.match(await (await fetch(`${first.url}/`, { headers })).text(), /^Millrace .*openapi/);
});

describe("/vertex", () => {
  test("several requests for what the model is for, each with its own fields", async () => {
    const instances = [{ inputs: "hello" }, { inputs: ["a", "b"], normalize: false }];
    const predictions = await Promise.all(instances.map((each) => ask("/embed", each)));
    assert.deepEqual(await ask("/vertex", { instances }), { predictions });
    assert.deepEqual(await ask("/vertex", { instances: [] }), { predictions: [] });
  });

  test("of a model with labels and of one that ranks", async () => {
    const body = { query: "hello", texts: ["a", "good"] };
    for (const [teiModel, path, instance] of [
      ["labels", "/predict", { inputs: [["hello", "world"]] }],
      ["rank", "/rerank", { ...body, return_text: true }],
    ] as const) {
      await using named = await start(temp.path, { teiModel });
      const prediction = await ask(path, instance, named.url);
      assert.deepEqual(await ask("/vertex", { instances: [instance, instance] }, named.url), {
        predictions: [prediction, prediction],
      });
    }
  });

  test("one that is wrong fails them all, and is named", async () => {
    const good = { inputs: "a" };
    for (const [instances, status, told] of [
      [[good, { inputs: 7 }], 422, /instances\[1\]: .*inputs/],
      [[good, "a"], 422, /instances\[1\]/],
      [[{ inputs: ["a", "a ".repeat(99)] }, good], 422, /instances\[0\]: .*inputs\[1\]/],
      [Array.from({ length: 257 }, () => good), 422, /257 instances; .*at most 256/],
    ] as const) {
      const refused = await post("/vertex", { instances });
      assert.equal(refused.status, status);
      assert.match(((await refused.json()) as { error: string }).error, told);
    }
  });
});

test("--tei-model is the one model, whatever else is served", async () => {
  await using named = await start(temp.path, { teiModel: "labels" });
  const info = (await (await fetch(`${named.url}/info`)).json()) as Record<string, unknown>;
  assert.deepEqual(info["model_type"], {
    classifier: { id2label: { 0: "x", 1: "y", 2: "z" }, label2id: { x: 0, y: 1, z: 2 } },
  });
  assert.deepEqual(
    await ask("/", { inputs: "a" }, named.url),
    await ask("/predict", { inputs: "a" }),
  );
  const refused = await post("/embed", { inputs: "a" }, named.url);
  assert.equal(refused.status, 424);
  const { error_type: type } = (await refused.json()) as { error_type: string };
  assert.equal(type, "Backend");
});

test("errors have their type and its status", async () => {
  const wrong: readonly [string, unknown, number, string, RegExp][] = [
    ["/embed", { inputs: [] }, 400, "Empty", /`inputs` cannot be empty/],
    ["/embed", {}, 422, "Validation", /inputs/],
    ["/embed", "{", 422, "Validation", /JSON/],
    ["/embed", { inputs: ["a", 1] }, 422, "Validation", /inputs\[1\]/],
    ["/embed", { inputs: ["a", [4]] }, 422, "Validation", /inputs\[1\]/],
    ["/embed", { inputs: [4, "a"] }, 422, "Validation", /inputs\[0\]\[1\]/],
    ["/embed", { inputs: "a", normalize: "yes" }, 422, "Validation", /normalize/],
    [
      "/embed",
      { inputs: "a", truncation_direction: "up" },
      422,
      "Validation",
      /truncation_direction/,
    ],
    ["/embed", { inputs: "a", prompt_name: "query" }, 422, "Validation", /prompts/],
    ["/embed", { inputs: "a", dimensions: 99 }, 422, "Validation", /dimensions/],
    ["/embed", { inputs: [[99]] }, 422, "Tokenizer", /inputs\[0\]\[0\]/],
    ["/embed", { inputs: Array.from({ length: 33 }, () => "a") }, 422, "Validation", /at most 32/],
    ["/embed", { inputs: "nan" }, 424, "Backend", /./],
    ["/embed_sparse", { inputs: "a" }, 424, "Backend", /SPLADE/],
    ["/similarity", { inputs: { source_sentence: "a", sentences: [] } }, 400, "Empty", /empty/],
    ["/predict", { inputs: [["a", "b", "a"]] }, 422, "Validation", /inputs\[0\]/],
    ["/predict", { inputs: [] }, 422, "Validation", /empty list/],
    ["/rerank", { query: "a", texts: [] }, 422, "Validation", /empty/],
    ["/decode", { ids: [] }, 400, "Empty", /ids/],
    ["/decode", { ids: [99] }, 422, "Tokenizer", /ids\[0\]\[0\]/],
  ];
  for (const [path, body, status, type, message] of wrong) {
    const response = await post(path, body);
    const said = (await response.json()) as { error: string; error_type: string };
    assert.deepEqual(
      [response.status, said.error_type],
      [status, type],
      JSON.stringify([path, body, said]),
    );
    assert.match(said.error, message);
    assert.deepEqual(Object.keys(said), ["error", "error_type"]);
  }
  const untyped = await fetch(`${server.url}/embed`, { method: "POST", body: "{}" });
  assert.equal(untyped.status, 415);
});

test("one bad input fails the request, and the others' company nothing", async () => {
  const response = await post("/embed", { inputs: ["hello", "nan"] });
  assert.equal(response.status, 424);
  assert.equal((await post("/embed", { inputs: ["hello"] })).status, 200);
});

test("a server that stops is unhealthy", async () => {
  const stopping = await start(temp.path, { drainMs: 1_000 });
  const { url } = stopping;
  const slow = fetch(`${url}/embed`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ inputs: "a" }),
  });
  assert.equal((await slow).status, 200);
  const closing = stopping.close();
  await closing;
  await assert.rejects(fetch(`${url}/health`));
});
