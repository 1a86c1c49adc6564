import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import { answer, serveHttp } from "../support/http-server.js";
import { answerTask, width } from "../support/task-answers.js";

test("the client bundles for a browser and runs with web globals only", async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve("millrace-client"))],
    bundle: true,
    write: false,
    metafile: true,
    platform: "browser",
    format: "iife",
    globalName: "client",
    logLevel: "silent",
  });
  const [output] = outputFiles;
  assert.ok(output !== undefined);
  assert.doesNotMatch(output.text, /["']node:|\brequire\(|\bprocess\.|\bBuffer\b/);
  assert.ok(Object.keys(metafile.inputs).every((path) => path.includes("client/dist/")));

  await using server = await serveHttp(answer);
  const globals = { fetch, URL, AbortController, TextDecoder, setTimeout, clearTimeout };
  const forTasks = { TextEncoder, atob, Blob, FormData, Float32Array, Uint8Array, ArrayBuffer };
  await using tasks = await serveHttp(answerTask);
  const addresses = { address: server.url, tasks: tasks.url };
  const context = createContext({
    ...globals,
    ...forTasks,
    performance,
    queueMicrotask,
    ...addresses,
  });
  runInContext(output.text, context);
  const answered: unknown = await runInContext(
    `(async () => {
      const millrace = new client.Millrace(address);
      const { results } = await millrace.translate(["a", "b"]);
      const texts = results.map((result) => result.text);
      const other = new client.Millrace(tasks);
      const { results: [vector] } = await other.embed("a");
      const { order } = await other.rerank("why", ["one"]);
      const { results: [picture] } = await other.ocr(new Uint8Array([97]));
      const found = [vector.embedding.length, order, picture.lines[0].text];
      const failure = await new client.Millrace("http://127.0.0.1:1", { retry: { attemptsMax: 1 } })
        .translate("a").catch((error) => error.code);
      return JSON.stringify([texts, found, failure]);
    })()`,
    context,
  );
  assert.equal(answered, JSON.stringify([["«a»", "«b»"], [width, [0], "a"], "connection_failed"]));
});
