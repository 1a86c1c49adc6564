/** `millrace serve` as a process: its ready line, its signals, its exit status. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ReadyResponse, StatusResponse } from "millrace-client/wire";
import { openBackend } from "#src/backend/local-backend.js";
import { exitCodes } from "#src/cli/exit-codes.js";
import { createLog } from "#src/log.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { startServer } from "#src/server.js";
import { FakeModels } from "../support/fake-models.js";
import { fakeEntry } from "../support/pool.js";
import { childrenOf } from "../support/processes.js";
import { ServeProcess } from "../support/serve-process.js";

const fakeScript = fileURLToPath(new URL("../support/serve-fake.js", import.meta.url));
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

test("defect: a SIGHUP while it starts does not end it; it looks at its folder when it serves", async () => {
  using models = new FakeModels();
  await using serve = new ServeProcess(fakeScript, "--models", models.dir, "--pipelines", "1");
  await serve.logged("starting");
  serve.child.kill("SIGHUP");
  await serve.logged("ready");
  await serve.logged("models read again");
  serve.child.kill("SIGTERM");
  assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
});

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

/** The log's lines that were dropped so far. */
async function droppedLines(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^millrace_log_lines_dropped_total (\d+)$/m.exec(text)?.[1]);
}

/** Answered at each of many looks, until so many lines were dropped. */
async function livesThroughDrops(url: string, lines: number): Promise<void> {
  let looks = 0;
  for (; looks < 50 || (await droppedLines(url)) < lines; looks++) {
    assert.equal((await fetch(`${url}/live`)).status, 200);
  }
}

const flooding = ["--name", "flooding", "--log-level", "trace"] as const;

test("defect 22: a log that nobody reads holds up nothing, and the gap is told when it is read again", async () => {
  await using serve = new Serve(...flooding);
  const url = await serve.url();
  serve.stopReading();
  assert.equal((await post(url)).status, 200);
  await livesThroughDrops(url, 1_000);
  serve.readOn();
  const gap = await serve.logged("log lines were dropped: their reader was too slow");
  assert.ok(Number(gap["lines"]) >= 1_000 && gap["level"] === 40);
});

test("defect 22: SIGTERM while nobody reads the log: drained, exit 0", async () => {
  await using serve = new Serve(...flooding);
  const url = await serve.url();
  serve.stopReading();
  assert.equal((await post(url)).status, 200);
  await livesThroughDrops(url, 1_000);
  serve.child.kill("SIGTERM");
  assert.deepEqual(await once(serve.child, "exit"), [exitCodes.ok, null]);
  serve.readOn();
  assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
});

test("defect 22: a reader of the log that is gone ends nothing: it serves on, drains, and exits 0", async () => {
  await using serve = new Serve(...flooding);
  const url = await serve.url();
  serve.child.stdout.destroy();
  serve.child.stderr.destroy();
  assert.equal((await post(url)).status, 200);
  await livesThroughDrops(url, 100);
  assert.equal((await post(url)).status, 200);
  serve.child.kill("SIGTERM");
  assert.deepEqual(await once(serve.child, "exit"), [exitCodes.ok, null]);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`defect 24: ${signal} while a model is loading ends the start, and leaves no worker`, async () => {
    using models = new FakeModels("never-ready");
    const flags = ["--models", models.dir, "--pipelines", "2", "--threads", "1"];
    await using serve = new ServeProcess(fakeScript, ...flags);
    await serve.logged("starting");
    // The workers are there and none of them will ever be ready.
    let workers: number[] = [];
    while (workers.length < 2) workers = childrenOf(serve.pid);
    serve.child.kill(signal);
    assert.equal((await serve.logged("stopping"))["signal"], signal);
    await serve.logged("stopped before it was ready");
    assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
    assert.deepEqual(childrenOf(serve.pid), []);
    for (const pid of workers) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  });
}

for (const step of ["slow-to-open", "slow-to-start"]) {
  test(`defect 24: SIGTERM is heard in each step of the start: ${step}`, async () => {
    await using serve = new Serve("--name", step);
    await serve.logged(step);
    serve.child.kill("SIGTERM");
    await serve.logged("stopped before it was ready");
    assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
  });
}

test("defect 24: a start in one's own process ends with its signal's reason, and leaves no worker", async () => {
  using models = new FakeModels("never-ready");
  const code = { models: models.dir, port: 0, pipelines: 1, threads: 1, logLevel: "silent" };
  const configuration = resolveConfiguration({ code });
  const controller = new AbortController();
  const starting = startServer(configuration, {
    log: createLog({ ...configuration.options, destination: process.stdout }),
    signal: controller.signal,
    openBackend: (parts) => openBackend({ ...parts, workerEntry: fakeEntry }),
  });
  let workers: number[] = [];
  while (workers.length === 0) {
    await new Promise((resolve) => setImmediate(resolve));
    workers = childrenOf(process.pid);
  }
  const reason = new Error("no longer wanted");
  controller.abort(reason);
  await assert.rejects(starting, reason);
  assert.deepEqual(childrenOf(process.pid), []);
});

test("defect 24: a second signal during the start ends it at once", async () => {
  await using serve = new Serve("--name", "hanging");
  await serve.logged("starting");
  serve.child.kill("SIGTERM");
  await serve.logged("stopping");
  serve.child.kill("SIGINT");
  assert.deepEqual(await serve.exited, [exitCodes.interrupted, null]);
});

test("defect 2: a port or a host that cannot be had is told in words that say what to do", async () => {
  await using first = new Serve();
  const { port } = new URL(await first.url());
  for (const [flags, code, message] of [
    [
      ["--port", port],
      "EADDRINUSE",
      /^cannot listen on 127\.0\.0\.1:\d+: the port is taken; .*--port/,
    ],
    [["--host", "192.0.2.1", "--insecure"], "EADDRNOTAVAIL", /no such address; .*--host/],
    [
      ["--host", "no.such.host.invalid"],
      "(ENOTFOUND|EAI_AGAIN)",
      /cannot be resolved; correct --host/,
    ],
  ] as const) {
    await using second = new Serve(...flags);
    const fatal = await second.loggedAt(60);
    assert.match(String(fatal["code"]), new RegExp(`^${code}$`));
    assert.match(String(fatal["msg"]), message);
    assert.deepEqual(await second.exited, [exitCodes.notStarted, null]);
  }
});

test("a former name of an option still works, and one line says the new one", async () => {
  await using serve = new Serve("--request-items-max", "1");
  const warning = await serve.loggedAt(40);
  assert.equal(
    warning["msg"],
    "--request-items-max is now --request-inputs-max; the former name answers for this release only",
  );
  const response = await fetch(`${await serve.url()}/v1/translate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"texts":["a","b"]}',
  });
  assert.equal(response.status, 413);
});
