/**
 * The bodies of the native routes, from their JSON to the pieces that a pipeline gets: the front's fields, the task's own, what the
 * model says to them, and its tokenizer.
 */
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { readQuestion } from "#src/front/read-question.js";
import type { ModelManifest } from "#src/models/manifest.js";
import type { TensorsManifest } from "#src/models/programs/manifest-tensors.js";
import { readManifest } from "#src/models/read-manifest.js";
import { tasks } from "#src/tasks/table.js";
import type { Task, TaskModel } from "#src/tasks/task.js";
import { Fields } from "#src/work/fields.js";
import { parseObject, tensorBody } from "#src/work/json-object.js";
import { writeMadeEncoder } from "../../support/made-encoder.js";
import { bundledModels } from "../../support/real-server.js";
import { hostileText, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";
import { fuzzOptions } from "./fuzz-options.js";

interface GoodRequests {
  readonly task: string;
  readonly bodies: readonly object[];
  /** The folder of a model; null: what it does is not tried here. */
  readonly model: (dir: string) => Promise<ModelSource | null>;
}

interface ModelSource {
  readonly dir: string;
  readonly manifest: ModelManifest;
}

const common = { model: "m", class: "bulk", timeoutMs: 1_000, tenant: "t" };
const picture =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const requests: readonly GoodRequests[] = [
  {
    task: "translate",
    bodies: [
      {
        texts: ["Hello world.", "A second one. And a third."],
        beams: 4,
        nBest: 2,
        split: true,
        ...common,
      },
      {
        tokenIds: [
          [5, 6, 0],
          [7, 0],
        ],
        lengthPenalty: 1,
        maxLength: 64,
      },
      { texts: "One.", truncate: true, split: false },
    ],
    model: async () => sourceOf(join(bundledModels, "en-zh")),
  },
  {
    task: "embed",
    bodies: [
      { texts: ["hello world", "good"], pooling: "mean", layer: -1, normalize: true, ...common },
      { texts: "good bad", dimensions: 2, encoding: "base64", truncate: true },
    ],
    model: async (dir) => sourceOf(await writeMadeEncoder(join(dir, "embed"))),
  },
  {
    task: "classify",
    bodies: [
      { texts: ["hello world", ["good", "bad"]], topK: 1, raw: true, ...common },
      { images: [picture], topK: 2 },
    ],
    model: async (dir) =>
      sourceOf(await writeMadeEncoder(join(dir, "classify"), { labels: ["a", "b"] })),
  },
  {
    task: "rerank",
    bodies: [
      { query: "hello", texts: ["hello world", "good"], raw: true, ...common },
      { texts: [["good", "bad"]], truncate: true },
    ],
    model: async (dir) =>
      sourceOf(
        await writeMadeEncoder(join(dir, "rerank"), {
          labels: ["score"],
          scores: "sigmoid",
          task: "rerank",
        }),
      ),
  },
  {
    task: "infer",
    bodies: [
      {
        inputs: {
          x: [
            [1, 2],
            [3, 4.5],
          ],
          text: [
            ["a", "é"],
            ["b", "c"],
          ],
        },
        outputs: ["sum"],
        ...common,
      },
      {
        inputs: {
          x: { datatype: "FP32", shape: [1, 2], data: [1, 2] },
          text: { data: ["a", "b"], shape: [1, 2] },
        },
      },
    ],
    model: async () => ({ dir: "m", manifest: tensorsManifest }),
  },
  {
    task: "ocr",
    bodies: [{ images: [picture, picture], ...common }, { images: picture }],
    model: async () => null,
  },
];

const tensorsManifest: TensorsManifest = {
  manifestVersion: 2,
  name: "m",
  task: "infer",
  engine: "staged",
  program: "tensors",
  family: "onnx",
  precision: "graph",
  quantization: null,
  fileSha256: {},
  files: { graph: "m.onnx", data: [] },
  opsets: [],
  inputs: [
    { name: "x", datatype: "FP32", shape: ["n", 2] },
    { name: "text", datatype: "BYTES", shape: ["n", "s"] },
  ],
  outputs: [{ name: "sum", datatype: "FP32", shape: ["n"] }],
  batch: "free",
  batchDeclared: true,
  sizes: {},
  limits: { rowsMax: 3 },
};

export const requestParsers: readonly FuzzParser[] = requests.map((good) =>
  defineParser<string>({
    name: `request-${good.task}`,
    open: async (dir) => {
      const task = tasks.get(good.task);
      if (task === undefined) throw new Error(`there is no task ${good.task}`);
      const source = await good.model(dir);
      const model = source === null ? null : await task.open(source, limits);
      return {
        make: (random) => {
          const body = random.pick(good.bodies);
          if (random.chance(goodShare)) return JSON.stringify(body);
          if (random.chance(0.3)) return JSON.stringify(withTexts(body, () => hostileText(random)));
          return mutateJson(random, body);
        },
        take: (text) => takeBody(text, task, model),
      };
    },
  }),
);

const limits = { inputCharactersMax: 1_000, imagePixelsMax: 40_000_000, rowsMax: 64 };

async function sourceOf(dir: string): Promise<ModelSource> {
  return { dir, manifest: await readManifest(dir) };
}

function takeBody(text: string, task: Task, model: TaskModel | null): void {
  const body = task.tensors === undefined ? parseObject(text) : parseObject(text, tensorBody);
  const { fields } = readQuestion(body, {
    task,
    options: fuzzOptions,
    payloadBytes: text.length,
  });
  new Fields(fields).refuseUnknown(task.fields);
  const { inputs, settings } = task.read(fields, {
    requestInputsMax: fuzzOptions.requestInputsMax,
  });
  if (model === null) return;
  const completed = model.complete(settings);
  for (const [index, input] of inputs.entries()) {
    model.weigh(input, completed);
    for (const step of model.steps(input, { index, settings: completed })) {
      if (step.kind === "error") throw new MillraceError(step.error.code, step.error.message);
    }
  }
}

/** Every text of the body another one. */
function withTexts(value: unknown, text: () => string): unknown {
  if (typeof value === "string") return text();
  if (Array.isArray(value)) return value.map((each) => withTexts(each, text));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, of]) => [key, key in common ? of : withTexts(of, text)]),
  );
}
