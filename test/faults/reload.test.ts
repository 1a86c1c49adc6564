/** Folders that come, change and go under real processes: what callers of every protocol meet meanwhile. */
import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { test } from "node:test";
import type { ErrorResponse, ModelsReload, ModelsResponse } from "millrace-client/wire";
import { copyEncoder, copyModel, replaceFile } from "../support/model-copies.js";
import { graphBytes, identityGraph } from "../support/onnx-graph.js";
import {
  assertIdle,
  getReady,
  getStatus,
  startReal,
  translate,
  until,
} from "../support/real-server.js";
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

const once = identityGraph("FP32", ["n", 2]);
const twice = graphBytes({
  nodes: [{ opType: "Add", input: ["x", "x"], output: ["y"] }],
  inputs: [{ name: "x", type: "FP32", shape: ["n", 2] }],
  outputs: [{ name: "y", type: "FP32", shape: ["n", 2] }],
});
const infer = (url: string, model: string): ReturnType<typeof ask> =>
  ask(url, `/v2/models/${model}/infer`, tensors);
interface TensorsReply {
  readonly outputs?: readonly { readonly data: readonly number[] }[];
}
const answerOf = ({ body }: { readonly body: unknown }): string =>
  (body as TensorsReply).outputs?.[0]?.data.join() ?? JSON.stringify(body);

test(
  "defect: a preloaded model whose folder went is named, and refuses no reload",
  limit,
  async () => {
    await using dir = await TempDir.make();
    for (const name of ["a", "b"]) await writeFile(dir.file(`${name}.onnx`), once);
    const preload = { ...quietly, preload: "a,b" };
    await assert.rejects(startReal({ models: dir.path, ...preload, preload: "a,c" }), {
      code: "option_invalid",
      message: /names "c"/,
    });
    await using server = await startReal({ models: dir.path, ...preload });
    const { url } = server;
    await rm(dir.file("b.onnx"));
    await writeFile(dir.file("c.onnx"), once);
    const went = await reload(url);
    assert.deepEqual(
      [went.added, went.removed, went.missing, went.broken],
      [["c"], ["b"], ["b"], []],
    );
    const { body } = await getReady(url);
    assert.equal(body.state, "degraded");
    assert.match(
      body.models.find(({ model }) => model === "b")?.reason ?? "",
      /--preload names it/,
    );
    for (const name of ["a", "c"]) assert.equal((await infer(url, name)).status, 200);
    await writeFile(dir.file("b.onnx"), once);
    assert.deepEqual((await reload(url)).missing, []);
    await until(async () => (await getReady(url)).body.state === "ready");
  },
);

test("defect: no caller is told where on the machine the models are", limit, async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.file("a.onnx"), once);
  await mkdir(dir.file("broken"));
  await writeFile(dir.file("broken", "millrace.json"), "{");
  await writeFile(
    dir.file("dream.onnx"),
    graphBytes({
      nodes: [{ opType: "Dream", input: ["x"], output: ["y"], domain: "nobody" }],
      inputs: [{ name: "x", type: "FP32", shape: ["n", 2] }],
      outputs: [{ name: "y", type: "FP32", shape: ["n", 2] }],
      domains: ["nobody"],
    }),
  );
  await using server = await startReal({ models: dir.path, ...quietly });
  const { url } = server;
  const told: string[] = [];
  const keep = async (path: string, body?: object): Promise<string> => {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const headers = { "content-type": "application/json" };
    const text = await (await fetch(url + path, { ...init, headers })).text();
    told.push(text);
    return text;
  };
  assert.match(await keep("/v2/models/dream/infer", tensors), /dream cannot be loaded/);
  assert.match(await keep("/v1/models/reload", {}), /"dir":"broken","reason":"broken\/millrace/);
  for (const path of ["/ready", "/status", "/v1/models", "/v2/models/dream"]) await keep(path);
  await writeFile(dir.file("a.onnx"), twice);
  assert.match(await keep("/v2/models/a/infer", tensors), /changed since it was read/);
  for (const name of ["a.onnx", "dream.onnx"]) await rm(dir.file(name));
  assert.match(await keep("/v1/models/reload", {}), /model_folder_invalid.*holds no model/);
  await keep("/ready");
  for (const text of told) assert.ok(!text.includes(tmpdir()) && !text.includes("/dist/"), text);
});

test(
  "attack: a graph that is replaced in place before it was loaded, a folder that is renamed, and a manifest that turns into another task",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await mkdir(dir.file("m"));
    await writeFile(dir.file("m", "model.onnx"), once);
    await copyModel(dir.file("n"), "n");
    await using server = await startReal({ models: dir.path, ...quietly });
    const { url } = server;
    await replaceFile(dir.file("m", "model.onnx"), twice);
    const early = await infer(url, "m");
    assert.equal(early.status, 503, "nobody has read the new one yet");
    assert.match(JSON.stringify(early.body), /m has changed since it was read/);
    assert.deepEqual((await reload(url)).changed, ["m"]);
    assert.equal(answerOf(await infer(url, "m")), "2,4");

    assert.equal((await translate(url, { texts: "Good morning." })).results.length, 1);
    // Renamed: what is resident serves on, and then the same model from its new place.
    await rename(dir.file("n"), dir.file("renamed"));
    assert.equal((await translate(url, { texts: "Good morning." })).results.length, 1);
    assert.deepEqual((await reload(url)).changed, ["n"]);
    const places = await until(async () => {
      const { models } = (await getStatus(url)).pipelines[0] ?? { models: [] };
      return models.length === 2 && models;
    });
    assert.deepEqual(places.map(({ model }) => model).toSorted(), ["m", "n"]);
    assert.equal((await translate(url, { texts: "Good morning." })).results.length, 1);

    await rm(dir.file("renamed"), { recursive: true });
    await copyEncoder(dir.file("n"), "n");
    assert.deepEqual((await reload(url)).changed, ["n"]);
    await until(
      async () => (await ask(url, "/v1/embed", { texts: "Good morning." })).status === 200,
    );
    const { status, body } = await ask(url, "/v1/translate", { texts: "Good morning." });
    assert.equal(status, 404);
    assert.match((body as ErrorResponse).error.message, /no model is served for translate/);
  },
);

test(
  "attack: fifty callers while their model is changed and read again in a loop: nothing is lost",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.file("m.onnx"), once);
    await using server = await startReal({ models: dir.path, ...quietly, preload: "auto" });
    const { url } = server;
    const answers: string[] = [];
    const caller = async (): Promise<void> => {
      for (let count = 0; count < 8; count += 1) {
        const headers = { "content-type": "application/json" };
        const sent = { method: "POST", headers, body: JSON.stringify(tensors) };
        const reply = await fetch(`${url}/v2/models/m/infer`, sent);
        const body: unknown = await reply.json();
        assert.equal(reply.status, 200, JSON.stringify(body));
        assert.match(reply.headers.get("x-millrace-deployment") ?? "", /name=millrace/);
        answers.push(answerOf({ body }));
      }
    };
    let isOver = false;
    const callers = Promise.all(Array.from({ length: 50 }, caller)).finally(() => {
      isOver = true;
    });
    let versions = 0;
    const changing = async (): Promise<void> => {
      while (!isOver) {
        versions += 1;
        await replaceFile(dir.file("m.onnx"), versions % 2 === 0 ? once : twice);
        // Two at once: the second one's answer is that of the next look.
        await Promise.all([reload(url), reload(url)]);
      }
    };
    await Promise.all([callers, changing()]);
    assert.equal(answers.length, 400);
    assert.deepEqual(
      answers.filter((answer) => answer !== "1,2" && answer !== "2,4"),
      [],
    );
    await replaceFile(dir.file("m.onnx"), twice);
    await reload(url);
    await until(async () => answerOf(await infer(url, "m")) === "2,4");
    const status = await until(async () => {
      const now = await getStatus(url);
      return now.pipelines.every(({ models }) => models.length === 1) && now;
    });
    assertIdle(status);
    assert.equal(status.pipelines[0]?.restarts, 0);
  },
);
