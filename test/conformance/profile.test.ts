/** `/v1/profile` of a real server with a pipeline. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import type { ProfileResponse, StatusResponse } from "millrace-client/wire";
import { Profiles } from "#src/profile/profiles.js";
import { accessFor, TestFront } from "../support/http-front.js";
import { millrace, ServeProcess } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

const stillServer = { pipelineIds: () => ["p"], stages: () => [], isDraining: () => false };

test("a running server's front and its busy pipeline, by route and by command", async () => {
  await using server = new ServeProcess(
    millrace,
    "--models",
    "models",
    "--pipelines",
    "1",
    "--threads",
    "1",
  );
  const { http } = await server.logged("ready");
  const url = String(http);
  let working = true;
  const work = (async () => {
    const texts = Array.from(
      { length: 64 },
      (_, at) => `The station number ${at} is behind the church.`,
    );
    const body = JSON.stringify({ texts });
    const headers = { "content-type": "application/json" };
    while (working)
      await (await fetch(`${url}/v1/translate`, { method: "POST", headers, body })).text();
  })();
  const taking = fetch(`${url}/v1/profile?of=shared-1&seconds=1`, { method: "POST" });
  const reply = await taking;
  assert.equal(reply.status, 200);
  const text = await reply.text();
  const taken: ProfileResponse = JSON.parse(text);
  assert.equal(taken.of, "shared-1");
  const run = taken.nodes.find(({ name }) => name === "ONNX Runtime's Run");
  assert.ok(run !== undefined, "the runtime is named");
  assert.ok(
    taken.nodes.some(
      ({ file, line }) => file === "src/runtime/native/native-session.ts" && line > 0,
    ),
  );
  assert.ok(!text.includes("church") && !text.includes(process.cwd()), "no text and no path");
  assert.ok(taken.nodes.every(({ file }) => !file.startsWith("/")));
  const unknown = await fetch(`${url}/v1/profile?of=nobody`, { method: "POST" });
  assert.equal(unknown.status, 400);
  assert.match(await unknown.text(), /front, shared-1/);
  await using dir = await TempDir.make();
  const { stdout } = await promisify(execFile)(process.execPath, [
    millrace,
    "profile",
    url,
    "--seconds",
    "1",
    "--out",
    dir.path,
    "--json",
  ]);
  const told = JSON.parse(stdout);
  assert.equal(told.of, "front");
  assert.deepEqual(
    told.files.map(({ format }: { readonly format: string }) => format),
    ["svg", "speedscope"],
  );
  const dying = fetch(`${url}/v1/profile?of=shared-1&seconds=60`, { method: "POST" });
  await until(
    async () => (await fetch(`${url}/v1/profile?seconds=1`, { method: "POST" })).status === 429,
  );
  const status: StatusResponse = JSON.parse(await (await fetch(`${url}/status`)).text());
  process.kill(status.pipelines[0]?.pid ?? 0, "SIGKILL");
  const dead = await dying;
  assert.equal(dead.status, 503);
  assert.match(await dead.text(), /worker_lost/);
  working = false;
  await work;
});

test("one at a time; whoever ends it or leaves makes room for the next", async () => {
  const profiles = new Profiles({ ...stillServer, ofPipeline: () => null });
  await using front = await TestFront.start({}, { profiles });
  const path = `${front.url}/v1/profile`;
  const first = fetch(`${path}?seconds=60`, { method: "POST" });
  await until(async () => {
    const busy = await fetch(`${path}?of=nobody`, { method: "POST" });
    return busy.status === 429 && /DELETE \/v1\/profile/.test(await busy.text());
  });
  assert.deepEqual(await (await fetch(path, { method: "DELETE" })).json(), { ended: true });
  assert.equal((await first).status, 200);
  const leaving = new AbortController();
  const left = fetch(`${path}?seconds=60`, { method: "POST", signal: leaving.signal });
  left.catch(() => {});
  await until(async () => (await fetch(`${path}?of=nobody`, { method: "POST" })).status === 429);
  leaving.abort();
  await until(async () => (await fetch(`${path}?of=nobody`, { method: "POST" })).status === 400);
  assert.equal(profiles.end(), false);
  assert.equal((await fetch(`${path}?seconds=61`, { method: "POST" })).status, 400);
});

test("a server that stops takes none, and a key that may not administrate gets none", async () => {
  const profiles = new Profiles({ ...stillServer, isDraining: () => true, ofPipeline: () => null });
  await assert.rejects(profiles.take({ of: "front", ms: 1 }, new AbortController().signal), {
    code: "draining",
  });
  await using front = await TestFront.start({}, { profiles, access: accessFor("one") });
  const headers = { authorization: "Bearer one" };
  assert.equal((await fetch(`${front.url}/v1/profile`, { method: "POST", headers })).status, 403);
});
