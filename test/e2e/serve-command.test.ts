/** `millrace serve` as a process: its ready line, its signals, its exit status. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ReadyResponse, StatusResponse } from "millrace-client/wire";
import { exitCodes } from "#src/cli/exit-codes.js";
import { ServeProcess } from "../support/serve-process.js";

const script = fileURLToPath(new URL("../support/serve-echo.js", import.meta.url));

class Serve extends ServeProcess {
  constructor(...flags: readonly string[]) {
    super(script, ...flags);
  }
}

function post(url: string): Promise<Response> {
  return fetch(`${url}/v1/translate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"texts":"ab"}',
  });
}

/** Polls until so many requests have arrived at submit; each poll is a round trip. */
async function arrived(url: string, count: number): Promise<void> {
  let accepted = 0;
  while (accepted < count) {
    const status = (await (await fetch(`${url}/status`)).json()) as StatusResponse;
    accepted = status.requests.accepted;
  }
}

test("serve says what it found, logs one ready line with its address, and answers there", async () => {
  await using serve = new Serve("--environment", "test", "--threads", "1");
  const starting = await serve.logged("starting");
  assert.ok(Number(starting["cores"]) >= 1);
  assert.deepEqual([starting["threads"], starting["threadsFrom"]], [1, "flag"]);
  const url = await serve.url();
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const response = await fetch(`${url}/ready`);
  const ready = (await response.json()) as ReadyResponse;
  assert.equal(ready.deployment.environment, "test");
  assert.equal(ready.deployment.configHash, starting["config"]);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} with nothing to do: exit ${exitCodes.ok}`, async () => {
    await using serve = new Serve();
    await serve.url();
    serve.child.kill(signal);
    assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
  });
}

test("work that outlasts drainMs is cut off, and the exit status says so", async () => {
  await using serve = new Serve("--name", "held", "--drain-ms", "50");
  const url = await serve.url();
  const work = assert.rejects(post(url));
  await arrived(url, 1);
  serve.child.kill("SIGTERM");
  assert.deepEqual(await serve.exited, [exitCodes.drainCutOff, null]);
  await work;
});

test("readiness goes first, and a second signal ends the server at once", async () => {
  await using serve = new Serve("--name", "held");
  const url = await serve.url();
  const work = assert.rejects(post(url));
  await arrived(url, 1);
  serve.child.kill("SIGTERM");
  await serve.logged("draining");
  const ready = await fetch(`${url}/ready`);
  assert.equal(ready.status, 503);
  assert.equal(((await ready.json()) as ReadyResponse).state, "draining");
  serve.child.kill("SIGTERM");
  assert.deepEqual(await serve.exited, [exitCodes.interrupted, null]);
  await work;
});

test("a server that cannot start says why and exits", async () => {
  await using serve = new Serve("--name", "broken");
  const fatal = await serve.logged("no models");
  assert.equal(fatal["code"], "model_folder_invalid");
  assert.deepEqual(await serve.exited, [exitCodes.notStarted, null]);
});

test("wrong options end the command before anything starts", async () => {
  for (const [flags, expected] of [
    [["--prot", "1"], /^option_invalid: unknown option '--prot' \(Did you mean --port\?\)\n/],
    [
      ["--threads", "x", "--pipelines", "0"],
      /^option_invalid: --threads: .*\noption_invalid: --pipelines: at least one.*\nSee /,
    ],
  ] as const) {
    await using serve = new Serve(...flags);
    assert.deepEqual(await serve.exited, [exitCodes.usage, null]);
    assert.match(serve.errors, expected);
  }
});
