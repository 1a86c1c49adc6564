/** The task `infer`: what is read, what a model refuses, how rows become pieces and come together again. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isErrorCode } from "millrace-client/wire";
import type { TensorsManifest } from "#src/models/programs/manifest-tensors.js";
import type { TaskModel } from "#src/tasks/task.js";
import { inference } from "#src/tasks/tensors/inference.js";
import { parseObject, tensorBody } from "#src/work/json-object.js";
import type { JsonObject, Payload } from "#src/work/payload.js";
import type { Piece, PrepareStep } from "#src/work/piece.js";
import { NamedTensors, tensorsOf, textTensor } from "#src/work/tensors.js";

const manifest: TensorsManifest = {
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
    { name: "__proto__", datatype: "BYTES", shape: ["n", "s"] },
  ],
  outputs: [
    { name: "sum", datatype: "FP32", shape: ["n"] },
    { name: "said", datatype: "BYTES", shape: ["n", "s"] },
  ],
  batch: "free",
  batchDeclared: true,
  sizes: {},
  limits: { rowsMax: 3 },
};

async function open(own: Partial<TensorsManifest> = {}): Promise<TaskModel<never>> {
  const folder = { dir: "m", manifest: { ...manifest, ...own } };
  return (await inference.open(folder, {
    inputCharactersMax: 1,
    imagePixelsMax: 1,
  })) as TaskModel<never>;
}

function stepsOf(
  model: TaskModel<never>,
  text: string,
): { steps: PrepareStep[]; settings: JsonObject } {
  const { inputs, settings } = inference.read(parseObject(text, tensorBody), {
    requestInputsMax: 1,
  });
  assert.equal(inputs.length, 1);
  const complete = model.complete(settings);
  return {
    steps: [...model.steps(inputs[0] as never, { index: 0, settings: complete })],
    settings: complete,
  };
}

function pieces(steps: readonly PrepareStep[]): Piece[] {
  return steps.flatMap((step) => (step.kind === "piece" ? [step.piece] : []));
}

const rows = (count: number): string =>
  `{"inputs":{"x":[${Array.from({ length: count }, (_, at) => `[${at},1]`).join()}],"__proto__":[${Array.from({ length: count }, (_, at) => `["a${at}","é"]`).join()}]}}`;

describe("rows", () => {
  test("travel in pieces of so many as a run takes, and come together in their order", async () => {
    const model = await open();
    const { steps, settings } = stepsOf(model, rows(7));
    const made = pieces(steps);
    assert.deepEqual(
      made.map(({ cost }) => [cost.rows, cost.units, cost.width, cost.batchKey]),
      [
        [3, 3, 1, ";2"],
        [3, 3, 1, ";2"],
        [1, 1, 1, ";2"],
      ],
    );
    assert.deepEqual(steps.at(-1), { kind: "end", note: null });
    // An engine that gives back each row's texts, and the sum of its numbers.
    const answers = made.map(({ payload: { tensors } }): Payload => {
      const x = tensors["0"]?.data as Float32Array;
      const sums = Float32Array.from(
        { length: x.length / 2 },
        (_, row) => (x[2 * row] ?? 0) + (x[2 * row + 1] ?? 0),
      );
      const { "1": said, "1.lengths": lengths } = tensors;
      assert.ok(said !== undefined && lengths !== undefined);
      const own = {
        "0": { type: "float32", shape: [sums.length], data: sums },
        "1": said,
        "1.lengths": lengths,
      } as const;
      return { values: { rowsApart: true }, tensors: own };
    });
    for (const answer of answers) assert.equal(model.checkResult(answer, settings), null);
    const [sum, said] = tensorsOf(model.join({ pieces: made, note: null, answers, settings }));
    assert.deepEqual([...(sum?.data ?? [])].map(Number), [1, 2, 3, 4, 5, 6, 7]);
    assert.deepEqual(
      [said?.name, said?.shape, Buffer.from(said?.data as Uint8Array).toString()],
      ["said", [7, 2], "a0éa1éa2éa3éa4éa5éa6é"],
    );
  });

  test("stay together until an answer says that each is its own", async () => {
    const model = await open({ batchDeclared: false });
    assert.equal(pieces(stepsOf(model, rows(7)).steps).length, 1);
    const answer = (rowsApart: boolean): Payload => ({
      values: { rowsApart },
      tensors: { "0": { type: "float32", shape: [1], data: new Float32Array(1) } },
    });
    assert.equal(model.checkResult(answer(false), { outputs: [0] }), null);
    assert.equal(pieces(stepsOf(model, rows(7)).steps).length, 1);
    assert.equal(model.checkResult(answer(true), { outputs: [0] }), null);
    assert.equal(pieces(stepsOf(model, rows(7)).steps).length, 3);
  });

  test("defect: of different numbers where the graph names them differently go to the pipeline together", async () => {
    const [x, texts] = manifest.inputs;
    assert.ok(x !== undefined && texts !== undefined);
    const inputs = [x, { ...texts, shape: ["m", "s"] }];
    const model = await open({ batchDeclared: false, inputs });
    const uneven = `{"inputs":{"x":[[1,2],[3,4]],"__proto__":[["a"]]}}`;
    assert.equal(pieces(stepsOf(model, uneven).steps).length, 1);
    const declared = await open({ inputs });
    const [refused] = stepsOf(declared, uneven).steps.filter((step) => step.kind === "error");
    assert.match(refused?.error.message ?? "", /it has 1 rows, "x" has 2/);
  });

  test("are nothing to a model that has none: a request is one piece of its own", async () => {
    const model = await open({ batch: "none", batchDeclared: false });
    const [piece, ...others] = pieces(stepsOf(model, rows(7)).steps);
    assert.equal(others.length, 0);
    assert.deepEqual([piece?.cost.rows, piece?.cost.batchKey], [1, "7;7,2"]);
  });

  test("of other shapes in one answer than in another cannot come together", async () => {
    const model = await open();
    const { steps, settings } = stepsOf(model, rows(4).replace("}}", '},"outputs":["said"]}'));
    const answers = [2, 3].map((width): Payload => {
      const { data, lengths = new Int32Array() } = textTensor(Array<string>(width).fill("a"), {
        name: "",
        shape: [1, width],
      });
      return {
        values: {},
        tensors: {
          "1": { type: "uint8", shape: [data.length], data },
          "1.lengths": { type: "int32", shape: [1, width], data: lengths },
        },
      };
    });
    assert.throws(() => model.join({ pieces: pieces(steps), note: null, answers, settings }), {
      code: "item_failed",
      message: /output said/,
    });
  });

  test("a hundred thousand of them are pieces, made in little time and memory", async () => {
    const model = await open({
      limits: { rowsMax: null },
      inputs: [{ name: "x", datatype: "FP32", shape: ["n"] }],
    });
    const tensor = {
      name: "x",
      datatype: "FP32",
      shape: [100_000],
      data: new Float32Array(100_000),
    } as const;
    const { inputs } = inference.read(
      { inputs: new NamedTensors([tensor]) },
      { requestInputsMax: 1 },
    );
    const made = pieces([
      ...model.steps(inputs[0] as never, { index: 0, settings: { outputs: [0] } }),
    ]);
    assert.equal(made.length, Math.ceil(100_000 / 64));
    assert.equal(
      made.reduce((sum, { cost }) => sum + cost.bytes, 0),
      400_000 + made.length * 512,
    );
  });
});

describe("what a model refuses names the tensor", () => {
  const x = '"x":[[1,2]]';
  const texts = '"__proto__":[["a"]]';
  const refused: readonly [inputs: string, says: RegExp, param: string][] = [
    [`{${x}}`, /tensor "__proto__" is missing/, "inputs.__proto__"],
    [
      `{${x},${texts},"y":[1]}`,
      /tensor "y": the model has no such input.*x, __proto__/,
      "inputs.y",
    ],
    [
      `{"x":{"data":[[1,2]],"datatype":"FP64"},${texts}}`,
      /tensor "x": it is FP64, the model takes FP32/,
      "inputs.x",
    ],
    [`{"x":[[1,2,3]],${texts}}`, /its shape is \[1, 3\], the model takes \[-1, 2\]/, "inputs.x"],
    [`{"x":[1,2],${texts}}`, /its shape is \[2\], the model takes \[-1, 2\]/, "inputs.x"],
    [`{"x":[[1,2],[3,4]],${texts}}`, /it has 1 rows, "x" has 2/, "inputs.__proto__"],
    [
      `{"x":{"data":[],"shape":[0,2]},"__proto__":{"data":[],"shape":[0,1]}}`,
      /it has no rows/,
      "inputs.x",
    ],
    [`{${x},"__proto__":[["a\\u0000b"]]}`, /null character/, "inputs.__proto__"],
    [`{"x":[[1e39,2]],${texts}}`, /element 0 is no FP32/, "inputs.x"],
  ];
  for (const [inputs, says, param] of refused) {
    test(inputs, async () => {
      const last = stepsOf(await open(), `{"inputs":${inputs}}`).steps.at(-1);
      assert.ok(last?.kind === "error", JSON.stringify(last));
      assert.match(last.error.message, says);
      assert.equal(last.error.param, param);
      assert.ok(isErrorCode(last.error.code));
    });
  }

  test("one that is there twice", async () => {
    const tensor = {
      name: "x",
      datatype: "FP32",
      shape: [1, 2],
      data: new Float32Array(2),
    } as const;
    const { inputs } = inference.read(
      { inputs: new NamedTensors([tensor, tensor]) },
      { requestInputsMax: 1 },
    );
    const model = await open();
    const [step] = model.steps(inputs[0] as never, { index: 0, settings: { outputs: [0] } });
    assert.ok(step?.kind === "error");
    assert.match(step.error.message, /tensor "x": it is there twice/);
  });

  test("outputs that there are not, and one twice", async () => {
    const model = await open();
    assert.throws(() => model.complete({ outputs: ["sun"] }), {
      code: "tensor_invalid",
      param: "outputs.sun",
      message: /no such output, did you mean sum|no such output/,
    });
    assert.throws(() => model.complete({ outputs: ["sum", "sum"] }), { code: "bad_request" });
    assert.deepEqual(model.complete({ outputs: ["said", "sum"] }), { outputs: [1, 0] });
  });
});

const unread: readonly [fields: object, param: string][] = [
  [{}, "inputs"],
  [{ inputs: [] }, "inputs"],
  [{ inputs: null }, "inputs"],
  [{ inputs: { x: { shape: [1] } } }, "inputs.x"],
  [{ inputs: { x: { data: 1, datatype: "FLOAT" } } }, "inputs.x"],
  [{ inputs: { x: { data: 1, dtype: "FP32" } } }, "inputs.x"],
  [{ inputs: {}, outputs: "sum" }, "outputs"],
  [{ inputs: {}, outputs: [] }, "outputs"],
  [{ inputs: {}, outputs: [1] }, "outputs[0]"],
];
for (const [fields, param] of unread) {
  test(`${JSON.stringify(fields)} is refused for ${param}`, () => {
    const read = (): unknown => inference.read({ ...fields }, { requestInputsMax: 1 });
    assert.throws(read, { code: "bad_request", param });
  });
}

describe("an answer that cannot be used", () => {
  const answer = (
    type: "float32" | "float64",
    shape: readonly number[],
    length: number,
  ): Payload => ({
    values: {},
    tensors: {
      "0": {
        type,
        shape,
        data: new (type === "float32" ? Float32Array : Float64Array)(length),
      } as never,
    },
  });
  test("has another type, another shape or no tensor", async () => {
    const model = await open({ outputs: [{ name: "sum", datatype: "FP32", shape: ["n", 2] }] });
    const settings = { outputs: [0] };
    assert.equal(model.checkResult(answer("float32", [3, 2], 6), settings), null);
    assert.match(model.checkResult(answer("float64", [3, 2], 6), settings) ?? "", /no FP32 sum/);
    assert.match(
      model.checkResult(answer("float32", [3, 3], 9), settings) ?? "",
      /sum of shape \[3, 3\]/,
    );
    assert.match(model.checkResult({ values: {}, tensors: {} }, settings) ?? "", /no FP32 sum/);
  });
});
