/** A profile's operators, of a model of each task: what is not there is that nobody ran it, and never that nobody could look. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import type { ProfileResponse } from "millrace-client/wire";
import { convertOcr } from "#src/convert/ocr/convert-ocr.js";
import { writeColourClassifier } from "../support/colour-classifier.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { ocrFiles } from "../support/ocr-reference.js";
import { quarters } from "../support/pictures.js";
import { postJson, startReady } from "../support/real-server.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

const hasOcr = skipWithout("models", "ocr") === false;
const tensor = { name: "at", datatype: "INT64", shape: [2], data: [1, 3] };

test("defect: operators are of the models of every task, not only of those that generate", async () => {
  await using dir = await TempDir.make();
  const rank = { labels: ["LABEL_0"], scores: "sigmoid", task: "rerank" } as const;
  await writeMadeEncoder(dir.file("models", "vectors"));
  await writeMadeEncoder(dir.file("models", "feeling"), { labels: ["good", "bad"] });
  await writeMadeEncoder(dir.file("models", "rank"), rank);
  writeColourClassifier(dir.file("models", "colours"));
  await writeFile(dir.file("models", "look-up.onnx"), lookUp);
  if (hasOcr) {
    const { signal } = new AbortController();
    await convertOcr({ ...ocrFiles, outDir: dir.file("models", "pages"), force: false, signal });
  }
  await using server = await startReady({ models: dir.file("models") });
  const { url } = server;
  const texts = ["hello world"];
  const works: (() => Promise<Response>)[] = [
    () => postJson(`${url}/v1/embed`, { model: "vectors", texts }),
    () => postJson(`${url}/v1/classify`, { model: "feeling", texts }),
    () => postJson(`${url}/v1/rerank`, { model: "rank", query: "hello", texts }),
    () => postJson(`${url}/v2/models/look-up/infer`, { inputs: [tensor] }),
    async () => {
      const body = new Uint8Array(await quarters(8, 8).png().toBuffer());
      return await postPicture(`${url}/v1/classify?model=colours`, body);
    },
    async () => {
      const body = readFileSync(sharedPath("data", "images", "ocr", "text_det.jpg"));
      return await postPicture(`${url}/v1/ocr`, body);
    },
  ].slice(0, hasOcr ? 6 : 5);
  const run = async (): Promise<unknown[]> => {
    const replies = await Promise.all(works.map((work) => work()));
    return await Promise.all(
      replies.map(async (reply) => {
        const text = await reply.text();
        assert.equal(reply.status, 200, text);
        const { results, outputs } = JSON.parse(text);
        return results ?? outputs;
      }),
    );
  };
  await run();
  const unwatched = await run();
  const profile = `${url}/v1/profile`;
  const taking = postJson(`${profile}?of=shared-1&seconds=60&operators=true`, {});
  await until(async () => (await postJson(`${profile}?of=nobody`, {})).status === 429);
  assert.deepEqual(await run(), unwatched, "what is written down is the same");
  await fetch(profile, { method: "DELETE" });
  const taken = (await (await taking).json()) as ProfileResponse;
  const seen = new Map(taken.graphs.map((graph) => [graph.graph, graph]));
  const ocr = hasOcr ? ["pages detect", "pages recognise", "pages turn"] : [];
  assert.deepEqual([...seen.keys()].sort(), [
    "colours classify",
    "feeling encode",
    "look-up graph",
    ...ocr,
    "rank encode",
    "vectors encode",
  ]);
  for (const { graph, runs, watchedRuns, operators, problem } of taken.graphs) {
    assert.equal(problem, null, graph);
    assert.ok(runs >= 1 && watchedRuns >= 1 && operators.length >= 1, graph);
  }
  assert.deepEqual(
    seen.get("look-up graph")?.operators.map(({ operator, calls }) => [operator, calls]),
    [["Gather", 1]],
  );
});

async function postPicture(url: string, body: Uint8Array<ArrayBuffer>): Promise<Response> {
  return await fetch(url, { method: "POST", body, headers: { "content-type": "image/png" } });
}
