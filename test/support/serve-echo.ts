/** `millrace serve` before an `EchoSubmit` instead of pipelines: for the tests of the command itself. */

import { MillraceError, type ServerState, type StatusResponse } from "millrace-client/wire";
import { newProgram, run } from "#src/cli/program.js";
import { registerServe } from "#src/cli/serve.js";
import type { Backend, BackendParts } from "#src/server.js";
import { EchoSubmit } from "./echo-submit.js";

function openBackend({
  identity,
  configuration,
  heldByListener,
  eventLoopDelayP99Ms,
}: BackendParts): Backend {
  let state: ServerState = "starting";
  const submit = new EchoSubmit();
  // A name that no real environment has: requests then wait for ever, as in a drain that takes too long.
  if (configuration.options.name === "held") submit.hold();
  const status = (): StatusResponse => ({
    deployment: identity,
    state,
    uptimeMs: 0,
    policy: "echo",
    pipelines: [],
    queues: [],
    batches: { byReason: {}, recent: [] },
    stages: [],
    requests: { accepted: submit.seen.length, refused: 0, active: 0, finished: 0, cancelled: 0 },
    items: { accepted: 0, done: 0, failed: 0, cancelled: 0, retried: 0 },
    waits: {
      realtime: { count: 0, p50Ms: 0, p99Ms: 0 },
      bulk: { count: 0, p50Ms: 0, p99Ms: 0 },
    },
    process: {
      pid: process.pid,
      rssBytes: 1,
      eventLoopDelayP99Ms: eventLoopDelayP99Ms(),
      ...heldByListener(),
      queuedBytes: 0,
    },
  });
  return {
    submit,
    views: {
      identity,
      status,
      ready: () => ({ ready: state === "ready", state, notReady: [], deployment: identity }),
      models: () => [],
    },
    start: async () => {
      if (configuration.options.name === "broken") {
        throw new MillraceError("model_folder_invalid", "no models");
      }
      state = "ready";
      await Promise.resolve();
    },
    drain: () => {
      state = "draining";
    },
    stop: async () => {
      state = "not-ready";
      await Promise.resolve();
    },
  };
}

const program = newProgram();
registerServe(program, openBackend);
await run(program);
