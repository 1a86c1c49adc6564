/**
 * Seed 002: a model that was loaded in the parent was copied into each child that was forked, and the machine ran out of memory.
 * Cure: a worker is spawned, and loads its own copy once.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import type { StatusResponse } from "millrace-client/wire";
import { childrenOf, commandOf, mappedFiles } from "../support/processes.js";
import {
  bundledModels,
  getStatus,
  pidsOf,
  texts,
  translate,
  until,
} from "../support/real-server.js";
import { millrace, ServeProcess } from "../support/serve-process.js";

const limit = {
  timeout: 60_000,
  skip: existsSync("/proc/self/maps") ? false : "needs /proc/<pid>/maps",
};

function isOfModels(file: string): boolean {
  return /onnxruntime|weights\.bin/.test(file);
}

/** Pipelines that are up, with what the processes say. */
function assertLoadedOnce(serve: ServeProcess, { pipelines }: StatusResponse): void {
  const pids = pipelines.map(({ pid }) => pid ?? assert.fail("a pipeline without a process"));
  assert.equal(new Set([...pids, serve.pid]).size, pids.length + 1, "processes of their own");
  assert.deepEqual(new Set(childrenOf(serve.pid)), new Set(pids));
  // What is still on its way counts when it is there.
  assert.deepEqual(
    pipelines.map(({ loads }) => loads),
    pipelines.map(({ models }) => models.filter(({ state }) => state === "resident").length),
  );
  for (const pid of pids) {
    const script = commandOf(pid)
      .slice(1)
      .find((word) => !word.startsWith("-"));
    assert.match(script ?? "", /runtime.entry\.js$/, "a program of its own");
    assert.ok(mappedFiles(pid).some(isOfModels), "the worker has the runtime");
  }
  assert.deepEqual(mappedFiles(serve.pid).filter(isOfModels), [], "the server has no model");
}

test("each worker loads each model once, after it was spawned", limit, async () => {
  await using serve = new ServeProcess(
    millrace,
    "--models",
    bundledModels,
    "--pipelines",
    "2",
    "--threads",
    "1",
  );
  const url = await serve.url();
  const allUp = (restarts: number): Promise<StatusResponse> =>
    until(async () => {
      const status = await getStatus(url);
      const sum = status.pipelines.reduce((all, pipeline) => all + pipeline.restarts, 0);
      return status.state === "ready" && sum === restarts && status;
    });
  await allUp(0);
  await translate(url, { texts: texts(40), class: "bulk" });
  await translate(url, { texts: texts(10), beams: 4 });
  const before = await getStatus(url);
  assertLoadedOnce(serve, before);

  const [victim] = pidsOf(before);
  assert.ok(victim !== undefined);
  process.kill(victim, "SIGKILL");
  const after = await allUp(1);
  await translate(url, { texts: texts(40), class: "bulk" });
  assertLoadedOnce(serve, await getStatus(url));
  assert.ok(!pidsOf(after).includes(victim), "the new one is another process");
});
