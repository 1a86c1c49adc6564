/**
 * A child of the benchmark: the HTTP listener and the native front, and behind them nobody. Requests are read and answered as ever;
 * what stands between, queue and pipelines, is left out. Prints its address.
 */
import type { DeploymentIdentity } from "millrace-client/wire";
import { openAccess } from "#src/access/access.js";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import { openNativeFront } from "#src/front/native/native.js";
import { startHttpListener } from "#src/listen/http/listener.js";
import { identificationOf } from "#src/listen/identification.js";
import { createLog } from "#src/log.js";
import { Metrics } from "#src/metrics/metrics.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "#src/submit/submit.js";
import { taskOf } from "#src/tasks/table.js";
import type { Payload } from "#src/work/payload.js";
import type { ServerViews } from "#src/work/views.js";

const task = taskOf({ task: "embed" });
const { options } = resolveConfiguration({ code: { port: 0, logLevel: "silent" } });
const identity: DeploymentIdentity = {
  name: "no-op",
  environment: "bench",
  version: "0",
  configHash: "0",
  node: "here",
};

const width = 384;
const vector = Float32Array.from({ length: width }, (_, at) => Math.sin(at + 1));
const answers: Readonly<Record<string, Payload>> = {
  /** What a task says that answers in words. */
  none: { values: { inputTokens: 8 }, tensors: {} },
  base64: {
    values: { inputTokens: 8, embedding: Buffer.from(vector.buffer).toString("base64") },
    tensors: {},
  },
  floats: {
    values: { inputTokens: 8 },
    tensors: { embedding: { type: "float32", shape: [width], data: vector } },
  },
};
const answer = answers[process.argv[2] ?? "none"];
if (answer === undefined) throw new Error(`there is no answer ${process.argv[2]}`);

class NoopSubmit implements Submit {
  readonly tasks = new Map([[task.name, task]]);
  readonly #answer: Payload;

  constructor(value: Payload) {
    this.#answer = value;
  }

  async submit(
    request: SubmitRequest,
    _signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const { inputs } = task.read(request.fields, options);
    events.onAccepted?.();
    await Promise.resolve();
    const outcome = { value: this.#answer };
    for (let index = 0; index < inputs.length; index += 1) events.onOutcome({ index, outcome });
    return {
      task: request.task,
      model: "no-op",
      class: "realtime",
      inputs: inputs.length,
      timings: { prepareMs: 0, queueMs: 0, computeMs: 0, totalMs: 0 },
      pipelines: {},
    };
  }
}

const views: ServerViews = {
  identity,
  isDraining: false,
  ready: () => ({ ready: true, state: "ready", models: [], notReady: [], deployment: identity }),
  status: () => {
    throw new Error("nobody asks");
  },
  models: () => [],
  statistics: () => [],
};

const metrics = new Metrics();
const { http } = openNativeFront({
  submit: new GuardedSubmit(new NoopSubmit(answer)),
  views,
  tasks: [task],
  options,
  metrics,
});
if (http === undefined) throw new Error("the native front does not speak HTTP");
const listener = await startHttpListener({
  fronts: [http],
  access: openAccess,
  identification: identificationOf(identity),
  limits: options,
  metrics,
  log: createLog({ ...options, destination: process.stderr }),
});
console.log(listener.url);
process.once("SIGTERM", () => process.exit(0));
