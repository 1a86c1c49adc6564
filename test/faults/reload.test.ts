/** Folders that come, change and go under real processes: what callers of every protocol meet meanwhile. */
import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import type { ErrorResponse, ModelsReload, ModelsResponse } from "millrace-client/wire";
import { copyEncoder, copyModel } from "../support/model-copies.js";
import { identityGraph } from "../support/onnx-graph.js";
import { startReal } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };
const quietly = { pipelines: 1, modelsWatchMs: 0, preload: "none" };

async function reload(url: string): Promise<ModelsReload> {
  const reply = await fetch(`${url}/v1/models/reload`, { method: "POST" });
  const body: unknown = await reply.json();
  assert.equal(reply.status, 200, JSON.stringify(body));
  return body as ModelsReload;
}

async function ask(
  url: string,
  path: string,
  body: object,
): Promise<{ readonly status: number; readonly body: unknown }> {
  const headers = { "content-type": "application/json" };
  const reply = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return { status: reply.status, body: await reply.json() };
}

const tensor = { name: "x", datatype: "FP32", shape: [1, 2], data: [1, 2] };
const tensors = { inputs: [tensor] };

test(
  "defect: a task whose first model comes by a reload is served, and one whose last model went says so",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await copyModel(dir.file("a"), "a");
    await using server = await startReal({ models: dir.path, ...quietly });
    const { url } = server;
    const refused = await ask(url, "/v1/embed", { texts: "Good morning." });
    assert.equal(refused.status, 404);
    const { error } = refused.body as ErrorResponse;
    assert.equal(error.code, "model_not_found");
    assert.match(error.message, /no model is served for embed, only for: translate; .*--models/);
    assert.equal((await ask(url, "/v2/models/plain/infer", tensors)).status, 404);

    await copyEncoder(dir.file("b"), "b");
    await writeFile(dir.file("plain.onnx"), identityGraph("FP32", ["n", 2]));
    assert.deepEqual((await reload(url)).added.toSorted(), ["b", "plain"]);
    const embedded = await ask(url, "/v1/embed", { texts: "Good morning." });
    assert.equal(embedded.status, 200, JSON.stringify(embedded.body));
    assert.equal((embedded.body as { model: string }).model, "b");
    const { name, ...unnamed } = tensor;
    for (const [path, body] of [
      ["/v2/models/plain/infer", tensors],
      ["/v1/infer", { inputs: { [name]: unnamed } }],
    ] as const) {
      const inferred = await ask(url, path, body);
      assert.equal(inferred.status, 200, JSON.stringify(inferred.body));
    }

    await rm(dir.file("b"), { recursive: true });
    await rm(dir.file("plain.onnx"));
    assert.deepEqual((await reload(url)).removed.toSorted(), ["b", "plain"]);
    const gone = await ask(url, "/v1/embed", { texts: "Good morning." });
    assert.deepEqual(
      [gone.status, gone.body],
      [404, { ...(refused.body as object), id: (gone.body as ErrorResponse).id }],
    );
    assert.equal((await ask(url, "/v2/models/plain/infer", tensors)).status, 404);
    const { models } = (await (await fetch(`${url}/v1/models`)).json()) as ModelsResponse;
    assert.deepEqual(
      models.map(({ name }) => name),
      ["a"],
    );
  },
);
