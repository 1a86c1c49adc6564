/** `millrace serve` before an `EchoSubmit` instead of pipelines: for the tests of the command itself. */
import { MillraceError, type ServerState, type StatusResponse } from "millrace-client/wire";
import type { Backend, BackendParts } from "#src/backend/backend.js";
import { newProgram, run } from "#src/cli/program.js";
import { registerServe } from "#src/cli/serve.js";
import { EchoSubmit } from "./echo-submit.js";
import { emptyStatus } from "./empty-status.js";

async function openBackend({
  identity,
  configuration,
  heldByListener,
  eventLoopDelayP99Ms,
  log,
}: BackendParts): Promise<Backend> {
  const { name } = configuration.options;
  let state: ServerState = "starting";
  const submit = new EchoSubmit();
  submit.requestInputsMax = configuration.options.requestInputsMax;
  // A name that no real environment has: requests then wait for ever, as in a drain that takes too long.
  const forEver = (): Promise<void> => {
    log.info(name);
    return new Promise(() => setInterval(() => {}, 60_000));
  };
  if (name === "slow-to-open") await forEver();
  if (name === "held") submit.hold();
  const status = (): StatusResponse => {
    const empty = emptyStatus(identity, state);
    return {
      ...empty,
      requests: { ...empty.requests, accepted: submit.seen.length },
      process: {
        ...empty.process,
        eventLoopDelayP99Ms: eventLoopDelayP99Ms(),
        ...heldByListener(),
      },
    };
  };
  // From the first request on, more than any reader takes.
  const line = "x".repeat(1024);
  const flood = (): void => {
    if (submit.seen.length === 0) return;
    for (let count = 0; count < 100; count++) log.trace({ line }, "flood");
  };
  return {
    submit,
    views: {
      identity,
      get isDraining() {
        return state === "draining";
      },
      status,
      ready: () => {
        const ready = state === "ready";
        return { ready, state, models: [], notReady: [], deployment: identity };
      },
      models: () => [],
      statistics: () => [],
    },
    reload: () => Promise.resolve({ added: [], changed: [], removed: [], broken: [], missing: [] }),
    start: async () => {
      if (name === "broken") {
        throw new MillraceError("model_folder_invalid", "no models");
      }
      if (name === "hanging" || name === "slow-to-start") await forEver();
      if (name === "flooding") setInterval(flood, 1);
      state = "ready";
      await Promise.resolve();
    },
    drain: () => {
      state = "draining";
    },
    stop: async () => {
      state = "not-ready";
      if (name === "hanging") await new Promise(() => {});
      return await Promise.resolve(true);
    },
  };
}

const program = newProgram();
registerServe(program, openBackend);
await run(program);
