/**
 * Seed 001: a server that had failed hid behind a shared address, and jobs ran against another environment for days.
 * Cure: who fails to start is named, who answers says its name, and a caller can demand one.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { Millrace } from "millrace-client";
import type {
  ErrorResponse,
  ModelsResponse,
  ReadyResponse,
  TranslateResponse,
} from "millrace-client/wire";
import { exitCodes } from "#src/cli/exit-codes.js";
import type { ModelManifest } from "#src/models/manifest.js";
import { sha256Of } from "../support/model-folder.js";
import {
  copyTranslator,
  getReady,
  getStatus,
  pidsOf,
  post,
  startReal,
  translate,
  until,
} from "../support/real-server.js";
import { millrace, ServeProcess } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };
const noGraph = "this is no graph";

/** A folder with right hashes that no worker can load. */
async function breakModel(dir: string, name: string): Promise<void> {
  const path = `${dir}/millrace.json`;
  const manifest = JSON.parse(await readFile(path, "utf8")) as ModelManifest;
  await writeFile(`${dir}/encoder.onnx`, noGraph);
  const fileSha256 = { ...manifest.fileSha256, "encoder.onnx": sha256Of(noGraph) };
  await writeFile(path, JSON.stringify({ ...manifest, name, fileSha256 }));
}

test(
  "defect 18: a model that cannot start is named with its reason, and takes no other one down",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await copyTranslator(dir.file("en-zh"));
    await copyTranslator(dir.file("broken"));
    await breakModel(dir.file("broken"), "broken");
    await using serve = new ServeProcess(millrace, "--models", dir.path, "--pipelines", "1");
    // In the order of their names, so that the broken one is tried first.
    const logged = await serve.loggedAt(40);
    const url = await serve.url();
    const refused = await until(async () => {
      const { status, body } = await getReady(url);
      const found = body.models.find(({ model, reason }) => model === "broken" && reason !== null);
      const isFailed = found?.reason?.startsWith("model_folder_invalid") === true;
      const isServed = body.models.some(({ model, ready }) => model === "en-zh" && ready);
      return isFailed && isServed && { status, body, found };
    });
    assert.deepEqual(
      [refused.status, refused.body.ready, refused.body.state],
      [200, true, "degraded"],
      "the server is ready while it can serve anything",
    );
    assert.deepEqual(
      refused.body.models.map(({ model, ready }) => [model, ready]),
      [
        ["broken", false],
        ["en-zh", true],
      ],
    );
    const { models } = (await (await fetch(`${url}/v1/models`)).json()) as ModelsResponse;
    assert.deepEqual(
      models.map(({ name, ready, state }) => [name, ready, state]),
      [
        ["broken", false, "failed"],
        ["en-zh", true, "resident"],
      ],
    );
    assert.deepEqual(refused.body.notReady, [], "the pipeline is up, and hosts the other");
    assert.match(refused.found?.reason ?? "", /^model_folder_invalid: .*broken/);
    assert.deepEqual([logged["pipelineId"], logged["model"]], ["shared-1", "broken"]);
    assert.match(String(logged["msg"]), /could not be loaded: model_folder_invalid/);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const failures = (name: string): string | undefined =>
      new RegExp(`^millrace_model_load_failures\\{model="${name}"\\} (\\d+)$`, "m").exec(
        metrics,
      )?.[1];
    assert.deepEqual([failures("broken") !== "0", failures("en-zh")], [true, "0"]);
    const served = await translate(url, { texts: "Good morning.", model: "en-zh" });
    assert.deepEqual(Object.keys(served.pipelines), ["shared-1"]);
    const unserved = await post(url, { texts: "Good morning.", model: "broken" });
    assert.equal(((await unserved.json()) as ErrorResponse).error.code, "model_folder_invalid");
  },
);

test(
  "a model that a pipeline cannot load again is named, and its neighbour serves on",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await copyTranslator(dir.file("en-zh"));
    await using server = await startReal({ models: dir.path, pipelines: 2 });
    const pids = await until(async () => {
      const status = await getStatus(server.url);
      return status.state === "ready" && pidsOf(status);
    });
    await breakModel(dir.file("en-zh"), "en-zh");
    const [victim] = pids;
    assert.ok(victim !== undefined);
    process.kill(victim, "SIGKILL");
    const { status, body } = await until(async () => {
      const ready = await getReady(server.url);
      const [model] = ready.body.models;
      // Not the folder that was read: it may be well, and has to be read again before.
      return model?.reason?.includes("has changed since it was read") === true && ready;
    });
    assert.deepEqual([status, body.state, body.models[0]?.ready], [200, "degraded", true]);
    assert.equal((await translate(server.url, { texts: ["One.", "Two."] })).results.length, 2);
  },
);

test(
  "defect 18: a stray folder degrades nothing, and a broken one is named while the rest serve",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await copyTranslator(dir.file("en-zh"));
    await mkdir(dir.file("stray"));
    await writeFile(join(dir.file("stray"), "notes.txt"), "no model at all");
    await using server = await startReal({ models: dir.path, pipelines: 1 });
    const stray = await getReady(server.url);
    assert.deepEqual([stray.status, stray.body.state], [200, "ready"]);
    await server[Symbol.asyncDispose]();

    await mkdir(dir.file("broken"));
    await writeFile(join(dir.file("broken"), "millrace.json"), "{");
    await using again = await startReal({ models: dir.path, pipelines: 1 });
    const { status, body } = await getReady(again.url);
    assert.deepEqual([status, body.state], [200, "degraded"]);
    const broken = body.models.find(({ ready }) => !ready);
    assert.match(broken?.model ?? "", /broken$/);
    assert.match(broken?.reason ?? "", /millrace\.json/);
  },
);

test("no model can be loaded: the server says why and exits", limit, async () => {
  await using dir = await TempDir.make();
  await copyTranslator(dir.file("broken"));
  await breakModel(dir.file("broken"), "broken");
  await using serve = new ServeProcess(millrace, "--models", dir.path, "--pipelines", "2");
  assert.deepEqual(await serve.exited, [exitCodes.notStarted, null]);
});

async function run(...args: readonly string[]) {
  const child = spawn(process.execPath, [millrace, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, MILLRACE_ENVIRONMENT: "staging" },
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { out, err, code: code as unknown };
}

test(
  "a caller that demands another environment is refused, and its work is not done",
  limit,
  async () => {
    await using server = await startReal({
      pipelines: 1,
      environment: "development",
      name: "blue",
    });
    const { url } = server;
    const byHeader = await post(
      url,
      { texts: "Good morning." },
      { headers: { "x-millrace-expect": "environment=production" } },
    );
    const error = ((await byHeader.json()) as ErrorResponse).error;
    assert.deepEqual([byHeader.status, error.code], [412, "deployment_mismatch"]);
    assert.match(error.message, /production.*development/);

    await using client = new Millrace(url, { expect: { environment: "production" } });
    await assert.rejects(client.translate(["Good morning."]), { code: "deployment_mismatch" });

    const args = ["translate", "--url", url, "--expect-environment", "production", "Good morning."];
    const byCommand = await run(...args);
    assert.deepEqual([byCommand.code, byCommand.out], [exitCodes.wrongDeployment, ""]);
    assert.match(byCommand.err, /deployment_mismatch/);
    assert.equal((await getStatus(url)).requests.accepted, 0);

    await using right = new Millrace(url, { expect: { environment: "development", name: "blue" } });
    assert.equal((await right.translate(["Good morning."])).results.length, 1);
  },
);

test(
  "every reply names the deployment, and configuration says where it came from",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.file("millrace-options.json"), JSON.stringify({ rowsMax: 48 }));
    const { out } = await run(
      "config",
      "--json",
      "--threads",
      "1",
      "--config",
      dir.file("millrace-options.json"),
    );
    const { options, hash } = JSON.parse(out) as {
      readonly hash: string;
      readonly options: Readonly<
        Record<string, { readonly value: unknown; readonly source: string }>
      >;
    };
    assert.deepEqual(
      [options["threads"], options["environment"], options["rowsMax"], options["port"]],
      [
        { value: 1, source: "flag" },
        { value: "staging", source: "variable" },
        { value: 48, source: "file" },
        { value: 8400, source: "default" },
      ],
    );
    assert.match(hash, /^[0-9a-f]{8}$/);

    await using server = await startReal({ pipelines: 1, environment: "staging", name: "green" });
    const replies = await Promise.all([
      post(server.url, { texts: "Good morning." }),
      post(server.url, { texts: "Good morning.", model: "there-is-none" }),
      fetch(`${server.url}/ready`),
      fetch(`${server.url}/status`),
    ]);
    for (const reply of replies) {
      const { deployment } = (await reply.json()) as
        | TranslateResponse
        | ErrorResponse
        | ReadyResponse;
      const header = reply.headers.get("x-millrace-deployment") ?? "";
      assert.deepEqual([deployment.name, deployment.environment], ["green", "staging"]);
      assert.match(header, /^name=green, environment=staging, version=/);
      assert.ok(header.includes(`config=${deployment.configHash}`));
    }
  },
);
