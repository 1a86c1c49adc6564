/** Hugging Face's Inference API: its official client against real models in real pipelines, and what other clients send. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { InferenceClient } from "@huggingface/inference";
import type { EmbedResult, TranslateResult } from "millrace-client/wire";
import type { MillraceServer } from "#src/index.js";
import { writeColourClassifier } from "../support/colour-classifier.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { quarters } from "../support/pictures.js";
import { copyTranslator, postJson, startReady } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let server: MillraceServer;

before(async () => {
  temp = await TempDir.make();
  await writeMadeEncoder(temp.file("plain"));
  await writeMadeEncoder(temp.file("labels"), { labels: ["x", "y", "z"] });
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(temp.file("rank"), rank);
  writeColourClassifier(temp.file("colours"));
  await copyTranslator(temp.file("en-zh"));
  server = await startReady({ models: temp.path });
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

/** As the client is pointed at a server: the model is a part of the address. */
function clientOf(model: string): ReturnType<InferenceClient["endpoint"]> {
  return new InferenceClient("hf_any").endpoint(`${server.url}/models/${model}`);
}

async function post(path: string, body: unknown): Promise<Response> {
  return await postJson(`${server.url}${path}`, body);
}

async function ask<Reply>(path: string, body: unknown): Promise<Reply> {
  const response = await post(path, body);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Reply;
}

async function native<Result>(task: string, body: object): Promise<readonly Result[]> {
  return (await ask<{ results: Result[] }>(`/v1/${task}`, body)).results;
}

async function vectors(texts: readonly string[]): Promise<readonly EmbedResult["embedding"][]> {
  const results = await native<EmbedResult>("embed", { model: "plain", texts });
  return results.map(({ embedding }) => embedding);
}

describe("the official client", () => {
  test("feature extraction: a vector of a text, a list of them of a list", async () => {
    const client = clientOf("plain");
    const [one, two] = await vectors(["hello", "a b"]);
    assert.deepEqual(await client.featureExtraction({ inputs: "hello" }), one);
    assert.deepEqual(await client.featureExtraction({ inputs: ["hello", "a b"] }), [one, two]);
    const named = { normalize: true, truncate: true, truncation_direction: "right" } as const;
    const [unit] = await native<EmbedResult>("embed", {
      model: "plain",
      texts: "hello",
      normalize: true,
    });
    assert.deepEqual(
      await client.featureExtraction({ inputs: "hello", ...named }),
      unit?.embedding,
    );
  });

  test("sentence similarity", async () => {
    const inputs = { source_sentence: "hello", sentences: ["hello", "world a", "good"] };
    const near = await clientOf("plain").sentenceSimilarity({ inputs });
    assert.equal(near.length, 3);
    assert.ok(Math.abs((near[0] ?? 0) - 1) < 1e-6 && near.every((each) => each <= 1.000_001));
  });

  test("text classification: every label, the best first", async () => {
    const client = clientOf("labels");
    const [expected] = await native<{ labels: object[] }>("classify", {
      model: "labels",
      texts: "hello",
    });
    assert.deepEqual(await client.textClassification({ inputs: "hello" }), expected?.labels);
    const best = await client.textClassification({ inputs: "hello", parameters: { top_k: 1 } });
    assert.deepEqual(best, expected?.labels.slice(0, 1));
  });

  test("translation", async () => {
    const client = clientOf("en-zh");
    const texts = ["Good morning.", "Thank you."];
    const results = await native<TranslateResult>("translate", { model: "en-zh", texts });
    const [one] = results;
    assert.deepEqual(await client.translation({ inputs: "Good morning." }), {
      translation_text: one?.text,
    });
    const both = await client.translation({ inputs: texts as unknown as string });
    assert.deepEqual(
      both,
      results.map(({ text }) => ({ translation_text: text })),
    );
  });

  test("image classification: a picture as it is, and in base64", async () => {
    const client = clientOf("colours");
    const picture = await quarters(16, 16).png().toBuffer();
    const blob = new Blob([new Uint8Array(picture)], { type: "image/png" });
    const labels = await client.imageClassification({ inputs: blob });
    const images = [picture.toString("base64")];
    const [expected] = await native<{ labels: object[] }>("classify", {
      model: "colours",
      images,
      topK: 5,
    });
    assert.deepEqual(labels, expected?.labels);
    assert.deepEqual(
      await client.imageClassification({ data: new Uint8Array(picture).buffer }),
      labels,
    );
    assert.deepEqual(await ask("/models/colours", { inputs: images[0] }), labels);
  });

  test("an error is thrown with its words", async () => {
    const client = clientOf("none");
    await assert.rejects(client.featureExtraction({ inputs: "a" }), /Model none does not exist/);
    const named = { inputs: "a", parameters: { candidate_labels: ["x"] } };
    await assert.rejects(
      clientOf("labels").zeroShotClassification(named),
      /zero-shot classification is not served/,
    );
    await assert.rejects(clientOf("plain").translation({ inputs: "a" }), /expected Array/);
  });
});

test("the paths that clients make of a model's name", async () => {
  const [one] = await vectors(["hello"]);
  for (const path of [
    "/models/plain",
    "/models/some-owner/plain",
    "/models/plain/pipeline/feature-extraction",
    "/models/some-owner/plain/pipeline/feature-extraction",
    "/pipeline/feature-extraction/plain",
    "/pipeline/feature-extraction/some-owner/plain",
  ]) {
    assert.deepEqual(
      await ask(path, { inputs: "hello", options: { wait_for_model: true } }),
      one,
      path,
    );
  }
});

test("the function that a caller names makes scores of the model's logits", async () => {
  const [known] = await native<{ labels: { label: string }[]; logits: number[] }>("classify", {
    model: "labels",
    texts: "hello",
    raw: true,
  });
  const logits = known?.logits ?? [];
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  const functions: Readonly<Record<string, (logit: number) => number>> = {
    sigmoid: (logit) => 1 / (1 + Math.exp(-logit)),
    softmax: (logit) => Math.exp(logit) / sum,
    none: (logit) => logit,
  };
  for (const [name, apply] of Object.entries(functions)) {
    const parameters = { function_to_apply: name, top_k: 2 };
    const [list = []] = await ask<{ label: string; score: number }[][]>("/models/labels", {
      inputs: ["hello"],
      parameters,
    });
    assert.deepEqual(
      list.map(({ label }) => label),
      known?.labels.slice(0, 2).map(({ label }) => label),
    );
    for (const { label, score } of list) {
      const logit = logits["xyz".indexOf(label)] ?? Number.NaN;
      assert.ok(Math.abs(score - apply(logit)) < 1e-6, `${name} of ${label}: ${score}`);
    }
  }
  const [ranked] = await native<{ logit: number }>("rerank", {
    model: "rank",
    texts: [["hello", "world"]],
    raw: true,
  });
  const inputs = { text: "hello", text_pair: "world" };
  const [[one] = []] = await ask<{ score: number }[][]>("/models/rank", {
    inputs,
    function_to_apply: "none",
  });
  assert.equal(one?.score, ranked?.logit);
});

test("pairs are classified, and ranked where the model is for that", async () => {
  const inputs = { text: "hello", text_pair: "world" };
  const pair = { texts: [["hello", "world"]] };
  const [labels] = await native<{ labels: object[] }>("classify", { model: "labels", ...pair });
  assert.deepEqual(await ask("/models/labels", { inputs }), [labels?.labels]);
  const [rank] = await native<{ score: number }>("rerank", { model: "rank", ...pair });
  const ranked = [[{ label: "LABEL_0", score: rank?.score }]];
  assert.deepEqual(await ask("/models/rank", { inputs: [inputs] }), ranked);
});

test("what is too long is cut where that is the way, and refused where it is not", async () => {
  const inputs = "a ".repeat(60);
  assert.equal((await post("/models/plain", { inputs })).status, 200);
  assert.equal(
    (await post("/models/plain", { inputs, parameters: { truncate: false } })).status,
    400,
  );
  assert.equal((await post("/models/labels", { inputs })).status, 400);
  assert.equal(
    (await post("/models/labels", { inputs, parameters: { truncation: true } })).status,
    200,
  );
});

test("errors are a text, with its status", async () => {
  const wrong: readonly [string, unknown, number, RegExp][] = [
    ["/models/none", { inputs: "a" }, 404, /Model none does not exist/],
    ["/models/", { inputs: "a" }, 404, /does not exist/],
    ["/models/plain", {}, 400, /`inputs`: is missing/],
    ["/models/plain", { inputs: [] }, 400, /`inputs` is empty/],
    ["/models/plain", { inputs: ["a", 1] }, 400, /inputs\[1\]/],
    ["/models/plain", { inputs: "a", parameters: { beam: 1 } }, 400, /no field "beam"/],
    ["/models/plain", { inputs: "a", prompt_name: "query" }, 400, /prompts/],
    ["/models/plain/pipeline/text-classification", { inputs: "a" }, 404, /feature-extraction/],
    ["/models/plain/pipeline/sentence-similarity", { inputs: "a" }, 400, /source_sentence/],
    ["/models/plain", { inputs: "nan" }, 422, /./],
    [
      "/models/labels",
      { inputs: "a", parameters: { function_to_apply: "tanh" } },
      400,
      /function_to_apply/,
    ],
    ["/models/labels", { inputs: "a", parameters: { top_k: 0 } }, 400, /parameters.top_k|top_k/],
    ["/models/en-zh", { inputs: "a", parameters: { tgt_lang: "de" } }, 400, /the model's is zh/],
    [
      "/models/en-zh",
      { inputs: "a", parameters: { generate_parameters: { num_beams: 99 } } },
      400,
      /num_beams/,
    ],
    ["/models/colours", { inputs: "no picture" }, 400, /./],
  ];
  for (const [path, body, status, message] of wrong) {
    const response = await post(path, body);
    const said = (await response.json()) as { error: string };
    assert.equal(response.status, status, JSON.stringify([path, body, said]));
    assert.match(said.error, message);
  }
  const text = await fetch(`${server.url}/models/plain`, { method: "POST", body: "a" });
  assert.equal(text.status, 415);
});
