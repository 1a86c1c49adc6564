/** What a front is given, with nobody behind it: requests are read by their task, and answered by numbers that are always the same. */

import type { ModelInfo } from "millrace-client/wire";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import type { FrontParts } from "#src/front/front.js";
import type {
  InputOutcome,
  Submit,
  SubmitEvents,
  SubmitRequest,
  SubmitSummary,
} from "#src/submit/submit.js";
import { tasks } from "#src/tasks/table.js";
import type { Payload } from "#src/work/payload.js";
import { identity } from "../../support/identity.js";
import { fuzzOptions } from "./fuzz-options.js";

const width = 4;

const answers: Readonly<Record<string, Payload>> = {
  embed: {
    values: { inputTokens: 3 },
    tensors: { embedding: { type: "float32", shape: [width], data: Float32Array.of(1, 2, 3, 4) } },
  },
  classify: {
    values: { labels: [{ label: "x", score: 1 }], inputTokens: 3 },
    tensors: { logits: { type: "float32", shape: [2], data: Float32Array.of(1, -1) } },
  },
  rerank: { values: { score: 0.5, logit: 1, inputTokens: 3 }, tensors: {} },
  tokenize: {
    values: { tokens: [{ id: 1, text: "a", special: false, start: 0, stop: 1 }] },
    tensors: {},
  },
  detokenize: { values: { text: "a" }, tensors: {} },
  translate: {
    values: { text: "好", score: -1, inputTokens: 3, outputTokens: 2, sentences: 1 },
    tensors: {},
  },
};

class ReadingSubmit implements Submit {
  readonly tasks = tasks;

  async submit(
    request: SubmitRequest,
    _signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const task = tasks.get(request.task);
    if (task === undefined) throw new Error(`a front asked for the task ${request.task}`);
    const { inputs, settings } = task.read(request.fields, fuzzOptions);
    events.onAccepted?.();
    await Promise.resolve();
    const outcome = outcomeOf(request.task, settings["encoding"] === "base64");
    for (const index of inputs.keys()) events.onOutcome({ index, outcome });
    const timings = { prepareMs: 0, queueMs: 0, computeMs: 0, totalMs: 0 };
    const { task: name, model } = request;
    return {
      task: name,
      model: model ?? name,
      class: "realtime",
      inputs: inputs.length,
      timings,
      pipelines: {},
    };
  }
}

function outcomeOf(task: string, isBase64: boolean): InputOutcome {
  const value = answers[task];
  if (value === undefined) {
    return { error: { code: "item_failed", message: "there is no model", retryable: false } };
  }
  const data = value.tensors["embedding"]?.data;
  if (!isBase64 || data === undefined) return { value };
  const embedding = Buffer.from(data.buffer).toString("base64");
  return { value: { values: { ...value.values, embedding }, tensors: {} } };
}

function modelOf(name: string, task: string): ModelInfo {
  return {
    name,
    task,
    family: "made",
    precision: "f32",
    ready: true,
    state: "resident",
    pipelines: [],
    reason: null,
    limits: { inputTokensMax: 32, outputTokensMax: 32 },
    sourceLanguage: "en",
    targetLanguage: "zh",
    embedding: { pooling: "mean", width, normalize: false },
    labels: ["x", "y"],
  } as ModelInfo;
}

const models = ["embed", "classify", "rerank", "translate"].map((task) => modelOf(task, task));

export function fuzzFrontParts(): FrontParts {
  return {
    submit: new GuardedSubmit(new ReadingSubmit()),
    views: {
      identity,
      isDraining: false,
      ready: () => ({
        ready: true,
        state: "ready",
        models: [],
        notReady: [],
        deployment: identity,
      }),
      status: () => {
        throw new Error("nobody asks");
      },
      models: () => models,
      statistics: () => [],
    },
    tasks: [...tasks].map(([name, form]) => ({ ...form, name })),
    options: { ...fuzzOptions, bertPort: 1, bertPortOut: 2, bertModel: "embed" },
    metrics: {
      requestFinished: () => {},
      contentTypeOf: () => "",
      scrape: () => Promise.resolve(""),
    },
  };
}
