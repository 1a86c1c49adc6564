import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import { answer, serveHttp } from "../support/http-server.js";

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
  const context = createContext({ ...globals, performance, queueMicrotask, address: server.url });
  runInContext(output.text, context);
  const answered: unknown = await runInContext(
    `(async () => {
      const millrace = new client.Millrace(address);
      const { results } = await millrace.translate(["a", "b"]);
      const texts = results.map((result) => result.text);
      const failure = await new client.Millrace("http://127.0.0.1:1", { retry: { attemptsMax: 1 } })
        .translate("a").catch((error) => error.code);
      return JSON.stringify([texts, failure]);
    })()`,
    context,
  );
  assert.equal(answered, JSON.stringify([["«a»", "«b»"], "connection_failed"]));
});
