/** The `serve` process with the real runtime: drained, ended, killed, refused; nothing is left running. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { ErrorResponse, StatusResponse } from "millrace-client/wire";
import { exitCodes } from "#src/cli/exit-codes.js";
import { childrenOf, isRunning } from "../support/processes.js";
import {
  assertIdle,
  bundledModels,
  getReady,
  getStatus,
  outcomeOf,
  pidsOf,
  post,
  startReal,
  texts,
  translate,
  translatedAlone,
  until,
} from "../support/real-server.js";
import { millrace, ServeProcess } from "../support/serve-process.js";

const limit = { timeout: 60_000 };
let alone: ReadonlyMap<string, string>;

before(async () => {
  alone = await translatedAlone();
});

const flags = ["--models", bundledModels, "--pipelines", "1", "--threads", "1"];

/** Resolves when a pipeline works on what was sent. */
async function busy(url: string): Promise<void> {
  await until(async () => (await getStatus(url)).pipelines.some(({ doing }) => doing !== null));
}

/** The log so far is no help where a pipeline does not come up; the status is. */
async function allUp(url: string): Promise<number[]> {
  let status: StatusResponse | null = null;
  try {
    return await until(async () => {
      status = await getStatus(url);
      return status.state === "ready" && pidsOf(status);
    });
  } catch (cause) {
    throw new Error(`not up: ${JSON.stringify(status)}`, { cause });
  }
}

test(
  "SIGTERM under load: not ready first, all that was accepted is done, exit 0",
  limit,
  async () => {
    await using serve = new ServeProcess(millrace, ...flags, "--pipelines", "2");
    const url = await serve.url();
    const pids = await allUp(url);
    assert.equal(pids.length, 2);
    const inputs = texts(72);
    const request = { texts: inputs, class: "bulk" } as const;
    const works = [translate(url, request), translate(url, request)];
    await until(async () => (await getStatus(url)).requests.accepted === works.length);
    // Nothing is through before all was asked: for less time than a hang takes to be one.
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    serve.child.kill("SIGTERM");
    await serve.logged("draining");
    const ready = await getReady(url);
    assert.deepEqual([ready.status, ready.body.state], [503, "draining"]);
    const refused = await post(url, { texts: "Too late." });
    assert.equal(refused.status, 503);
    assert.equal(((await refused.json()) as ErrorResponse).error.code, "draining");
    for (const pid of pids) process.kill(pid, "SIGCONT");
    for (const work of works) {
      assert.deepEqual(
        (await work).results.map(outcomeOf),
        inputs.map((text) => alone.get(text)),
      );
    }
    assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
    assert.deepEqual(pids.filter(isRunning), []);
  },
);

test(
  "attack: callers whose work outlasts the drain are told so, whatever it was at",
  limit,
  async () => {
    await using serve = new ServeProcess(millrace, ...flags, "--drain-ms", "50");
    const url = await serve.url();
    await allUp(url);
    const request = { texts: texts(500), class: "bulk", beams: 4 } as const;
    const together = post(url, request);
    const inLines = post(url, request, { headers: { accept: "application/x-ndjson" } });
    await busy(url);
    const page = "\ufdfa ".repeat(9_000);
    const preparing = post(url, { texts: Array.from({ length: 20 }, () => page), class: "bulk" });
    await until(async () => (await getStatus(url)).requests.active === 3);
    serve.child.kill("SIGTERM");
    for (const cut of [await together, await preparing]) {
      assert.equal(cut.status, 503);
      assert.equal(((await cut.json()) as ErrorResponse).error.code, "draining");
    }
    const lines = (await (await inLines).text()).trimEnd().split("\n");
    assert.match(lines.at(-1) ?? "", /^\{"error":\{"code":"draining"/);
    assert.deepEqual(await serve.exited, [exitCodes.drainCutOff, null]);
  },
);

test("a second SIGTERM under load ends at once and leaves no child", limit, async () => {
  await using serve = new ServeProcess(millrace, ...flags);
  const url = await serve.url();
  const pids = await allUp(url);
  const work = assert.rejects(post(url, { texts: texts(500), class: "bulk", beams: 4 }));
  await busy(url);
  assert.deepEqual(new Set(childrenOf(serve.pid)), new Set(pids));
  serve.child.kill("SIGTERM");
  await serve.logged("draining");
  serve.child.kill("SIGTERM");
  assert.deepEqual(await serve.exited, [exitCodes.interrupted, null]);
  await work;
  await until(() => !pids.some(isRunning));
});

for (const doing of ["idle", "busy"] as const) {
  test(`SIGKILL of the server while ${doing} leaves no child`, limit, async () => {
    await using serve = new ServeProcess(millrace, ...flags);
    const url = await serve.url();
    const pids = await allUp(url);
    let work: Promise<void> | null = null;
    if (doing === "busy") {
      work = assert.rejects(post(url, { texts: texts(500), class: "bulk", beams: 4 }));
      await busy(url);
    }
    serve.child.kill("SIGKILL");
    assert.deepEqual(await serve.exited, [null, "SIGKILL"]);
    await work;
    await until(() => !pids.some(isRunning));
  });
}

test(
  "a port that is taken: the server says so, exits, and the first one serves on",
  limit,
  async () => {
    await using first = await startReal({ pipelines: 1 });
    const { port } = new URL(first.url);
    await using second = new ServeProcess(millrace, ...flags, "--port", port);
    const fatal = await second.loggedAt(60);
    assert.deepEqual(await second.exited, [exitCodes.notStarted, null]);
    assert.deepEqual([fatal["code"], fatal["port"]], ["EADDRINUSE", Number(port)]);
    assert.equal((await translate(first.url, { texts: "Good morning." })).results.length, 1);
    assertIdle(await getStatus(first.url));
  },
);
