/** The program `tensors` on small graphs and real ones: what a probe finds, and that company changes nothing. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import type { FrameOutcome } from "#src/frames/messages.js";
import { manifestOf } from "#src/models/engine-table.js";
import type { TensorsManifest } from "#src/models/programs/manifest-tensors.js";
import { readModel } from "#src/models/read-manifest.js";
import { startEngine } from "#src/runtime/staged/load-staged.js";
import type { Program, StageInput } from "#src/runtime/staged/program.js";
import { openTensors } from "#src/runtime/staged/programs/tensors.js";
import { stagedEngineDefaults } from "#src/runtime/staged/staged-engine.js";
import type { Payload, Tensor } from "#src/work/payload.js";
import { type NamedTensor, putTensor, takeTensor, textsOf, textTensor } from "#src/work/tensors.js";
import {
  type GraphTensor,
  graphBytes,
  identityGraph,
  type MadeGraph,
} from "../support/onnx-graph.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

let dir: TempDir;
before(async () => {
  dir = await TempDir.make();
});
after(async () => {
  await dir[Symbol.asyncDispose]();
});

interface Opened extends AsyncDisposable {
  readonly program: Program;
  readonly manifest: TensorsManifest;
}

let folders = 0;

async function open(graph: Uint8Array | string, declared: object = {}): Promise<Opened> {
  let path = typeof graph === "string" ? graph : "";
  if (typeof graph !== "string") {
    folders += 1;
    path = dir.file(`m${folders}`);
    await mkdir(path);
    await writeFile(`${path}/g.onnx`, graph);
    await writeFile(`${path}/millrace.json`, JSON.stringify({ manifestVersion: 2, ...declared }));
  }
  const { dir: modelDir, manifest: found } = await readModel(path);
  const manifest = manifestOf(found, "staged") as TensorsManifest;
  const program = await openTensors({
    modelDir,
    manifest,
    threads: 1,
    rowsMax: 64,
    weightsCache: null,
  });
  return { program, manifest, [Symbol.asyncDispose]: () => program.release() };
}

function payload(list: readonly NamedTensor[], outputs: readonly number[] = [0]): Payload {
  const tensors: Record<string, Tensor> = {};
  for (const [place, tensor] of list.entries()) putTensor(tensors, place, tensor);
  return { values: { outputs }, tensors };
}

async function runTogether({ program }: Opened, payloads: readonly Payload[]): Promise<Payload[]> {
  const inputs = payloads.map((each): StageInput => {
    const begun = program.begin(each, () => Infinity);
    assert.ok(typeof begun === "object", typeof begun === "string" ? begun : "");
    return begun;
  });
  const results = await program.stages[1]?.run(inputs);
  return (results ?? []).map((result) => {
    assert.ok(result.kind === "done");
    return program.finish(result.value);
  });
}

const rowsMaxOf = ({ program }: Opened): number => program.stages[1]?.limits.rowsMax ?? 0;

const x = (shape: GraphTensor["shape"], type: GraphTensor["type"] = "FP32"): GraphTensor => ({
  name: "x",
  type,
  shape,
});
const y = (shape: GraphTensor["shape"], type: GraphTensor["type"] = "FP32"): GraphTensor => ({
  name: "y",
  type,
  shape,
});
const node = (opType: string, input: string[], output: string[] = ["y"]) => ({
  opType,
  input,
  output,
});
const table = {
  dims: [4],
  dataType: 1,
  name: "t",
  rawData: new Uint8Array(new Float32Array([0, 1, 4, 9]).buffer),
};

const trials: readonly [what: string, rowsApart: boolean, graph: MadeGraph][] = [
  [
    "an operator on each element",
    true,
    { nodes: [node("Sqrt", ["x"])], inputs: [x(["n", 3])], outputs: [y(["n", 3])] },
  ],
  [
    "a look-up that takes small integers only",
    true,
    {
      nodes: [node("Gather", ["t", "x"])],
      inputs: [x(["n"], "INT64")],
      outputs: [y(["n"])],
      initializers: [table],
    },
  ],
  [
    "a softmax over the rows",
    false,
    {
      nodes: [{ ...node("Softmax", ["x"]), attribute: [{ name: "axis", i: 0, type: 2 }] }],
      inputs: [x(["n", 3])],
      outputs: [y(["n", 3])],
    },
  ],
  [
    "a sum of the rows",
    false,
    {
      nodes: [node("ReduceSum", ["x", "axes"])],
      inputs: [x(["n", 3])],
      outputs: [y(["", 3])],
      initializers: [{ dims: [1], dataType: 7, name: "axes", rawData: new Uint8Array(8) }],
    },
  ],
  [
    "what depends on the largest of all, in integers",
    false,
    {
      nodes: [node("ReduceMax", ["x"], ["m"]), node("Div", ["x", "m"])],
      inputs: [x(["n", 3], "INT64")],
      outputs: [y(["n", 3], "INT64")],
    },
  ],
  [
    "an output whose shape is in the data",
    false,
    { nodes: [node("NonZero", ["x"])], inputs: [x(["n", 3])], outputs: [y(["", ""], "INT64")] },
  ],
  [
    "each row and those before it",
    false,
    {
      nodes: [node("CumSum", ["x", "axis"])],
      inputs: [x(["n", 1])],
      outputs: [y(["n", 1])],
      initializers: [{ dims: [], dataType: 7, name: "axis", rawData: new Uint8Array(8) }],
    },
  ],
  [
    "defect: rows that are sorted, which two made-up ones may be by themselves",
    false,
    {
      nodes: [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "first"], ["count"]),
        {
          ...node("TopK", ["x", "count"], ["y", "places"]),
          attribute: [{ name: "axis", i: 0, type: 2 }],
        },
      ],
      inputs: [x(["n", 1])],
      outputs: [y(["n", 1])],
      initializers: [{ dims: [1], dataType: 7, name: "first", rawData: new Uint8Array(8) }],
    },
  ],
  [
    "a first axis of one size",
    false,
    { nodes: [node("Sqrt", ["x"])], inputs: [x([1, 3])], outputs: [y([1, 3])] },
  ],
  ["a scalar", false, { nodes: [node("Sqrt", ["x"])], inputs: [x([])], outputs: [y([])] }],
  [
    "another axis that must be wide",
    true,
    {
      nodes: [node("MaxPool", ["x"])].map((one) => ({
        ...one,
        attribute: [{ name: "kernel_shape", ints: [5], type: 7 }],
      })),
      inputs: [x(["n", 2, "w"])],
      outputs: [y(["n", 2, "v"])],
    },
  ],
];

describe("a probe", () => {
  for (const [what, rowsApart, graph] of trials) {
    test(`${what}: rows are ${rowsApart ? "apart" : "together"}`, async () => {
      await using opened = await open(graphBytes(graph));
      assert.equal(rowsMaxOf(opened), rowsApart ? 64 : 1);
      const [warm] = opened.program.warmUp();
      assert.ok(warm !== undefined);
      const [answer] = await runTogether(opened, [warm]);
      assert.equal(answer?.values["rowsApart"], rowsApart);
      assert.equal(answer === undefined ? "none" : opened.program.judgeWarmUp(answer), null);
    });
  }

  test("what is declared is not tried, and its limit holds", async () => {
    const softmax = graphBytes(trials[2]?.[2] as MadeGraph);
    await using free = await open(softmax, { batch: "free", limits: { rowsMax: 5 } });
    assert.equal(rowsMaxOf(free), 5);
    await using none = await open(identityGraph("FP32", ["n"]), { batch: "none" });
    assert.equal(rowsMaxOf(none), 1);
  });

  test("sizes that are declared are those that are tried", async () => {
    const graph = graphBytes({
      nodes: [node("Reshape", ["x", "s"])],
      inputs: [x(["n", "w"])],
      outputs: [y(["n", 7])],
      initializers: [
        {
          dims: [2],
          dataType: 7,
          name: "s",
          rawData: new Uint8Array(new BigInt64Array([-1n, 7n]).buffer),
        },
      ],
    });
    await using opened = await open(graph, { sizes: { w: 7 } });
    assert.equal(rowsMaxOf(opened), 64);
    await using unknown = await open(graph);
    assert.deepEqual(unknown.program.warmUp(), []);
    assert.equal(rowsMaxOf(unknown), 1);
  });
});

describe("a run", () => {
  test("gives each its own rows, and only the outputs that it wants", async () => {
    await using opened = await open(
      graphBytes({
        nodes: [node("Identity", ["x"]), node("Identity", ["__proto__"], ["texts"])],
        inputs: [x(["n", 2]), { name: "__proto__", type: "BYTES", shape: ["n"] }],
        outputs: [y(["n", 2]), { name: "texts", type: "BYTES", shape: ["n"] }],
      }),
    );
    assert.equal(rowsMaxOf(opened), 64);
    const item = (rows: number, outputs: readonly number[]): Payload => {
      const data = Float32Array.from({ length: 2 * rows }, (_, at) => at + 100 * rows);
      const texts = Array.from({ length: rows }, (_, row) => `€${row} of ${rows}`);
      return payload(
        [
          { name: "x", datatype: "FP32", shape: [rows, 2], data },
          textTensor(texts, { name: "s", shape: [rows] }),
        ],
        outputs,
      );
    };
    const items = [item(2, [1]), item(1, [0, 1]), item(3, [0])];
    const answers = await runTogether(opened, items);
    assert.deepEqual(
      answers.map(({ tensors }) => Object.keys(tensors)),
      [["1", "1.lengths"], ["0", "1", "1.lengths"], ["0"]],
    );
    const texts = takeTensor(answers[0] as Payload, 1, { name: "t", datatype: "BYTES" });
    assert.deepEqual(texts === null ? [] : textsOf(texts), ["€0 of 2", "€1 of 2"]);
    for (const [at, each] of items.entries())
      assert.deepEqual(await runTogether(opened, [each]), [answers[at]]);
  });

  test("that one row breaks is broken, and the row alone too; the others run", async () => {
    await using opened = await open(graphBytes(trials[1]?.[2] as MadeGraph));
    const item = (index: bigint): Payload =>
      payload([{ name: "x", datatype: "INT64", shape: [1], data: BigInt64Array.of(index) }]);
    await assert.rejects(runTogether(opened, [item(1n), item(9n)]), /out of/);
    await assert.rejects(runTogether(opened, [item(9n)]), /out of/);
    const answers = await runTogether(opened, [item(2n), item(3n)]);
    assert.deepEqual(
      answers.map(({ tensors }) => [...(tensors["0"]?.data ?? [])].map(Number)),
      [[4], [9]],
    );
  });

  test("defect: other numbers of rows side by side are for a graph whose rows are together", async () => {
    const a: GraphTensor = { name: "a", type: "FP32", shape: ["n", 2] };
    const inputs = [a, { ...a, name: "b", shape: ["m", 2] }];
    const turned = [node("Transpose", ["b"], ["turned"]), node("MatMul", ["a", "turned"])];
    const tensor = (name: string, rows: number): NamedTensor => ({
      name,
      datatype: "FP32",
      shape: [rows, 2],
      data: Float32Array.from({ length: 2 * rows }, (_, at) => at),
    });
    const uneven = payload([tensor("a", 2), tensor("b", 3)]);
    await using products = await open(
      graphBytes({ nodes: turned, inputs, outputs: [y(["n", "m"])] }),
    );
    const [answer] = await runTogether(products, [uneven]);
    assert.deepEqual(answer?.tensors["0"]?.shape, [2, 3]);
    assert.deepEqual([...(answer?.tensors["0"]?.data ?? [])], [1, 3, 5, 3, 13, 23]);
    await using sums = await open(
      graphBytes({ nodes: [node("Add", ["a", "b"])], inputs, outputs: [y(["n", 2])] }),
    );
    assert.equal(
      sums.program.begin(uneven, () => Infinity),
      'tensor "b": it has 3 rows, "a" has 2',
    );
  });

  test("an item that is not the model's is bad by itself", async () => {
    await using opened = await open(identityGraph("FP32", ["n"]));
    const float = { name: "x", datatype: "FP32", shape: [1], data: new Float32Array(1) } as const;
    for (const bad of [
      payload([]),
      payload([{ ...float, datatype: "FP64", data: new Float64Array(1) }]),
      payload([float], [1]),
      { ...payload([float]), values: {} },
    ]) {
      assert.equal(typeof opened.program.begin(bad, () => Infinity), "string");
    }
  });

  test("of more rows than a run takes is cut, and is one answer", async () => {
    await using opened = await open(
      graphBytes({
        nodes: [node("Identity", ["x"])],
        inputs: [x(["n", 2], "BYTES")],
        outputs: [y(["n", 2], "BYTES")],
      }),
      { limits: { rowsMax: 3 } },
    );
    const events = {
      onRun: () => {},
      onOutcomes: (some: readonly FrameOutcome[]) => outcomes.push(...some),
    };
    // However slow the machine is, time cuts nothing here.
    const options = { ...stagedEngineDefaults, realtimeRunMs: 1_000_000 };
    const engine = await startEngine(opened.program, events, options);
    const outcomes: FrameOutcome[] = [];
    const texts = Array.from({ length: 16 }, (_, at) => "é".repeat(at % 3));
    engine.admit("realtime", [
      { itemId: 1, payload: payload([textTensor(texts, { name: "x", shape: [8, 2] })]) },
    ]);
    while (!engine.idle) await engine.step();
    const [outcome] = outcomes;
    assert.ok(outcome?.ok === true, JSON.stringify(outcome));
    const answer = takeTensor(outcome.value, 0, { name: "y", datatype: "BYTES" });
    assert.deepEqual([answer?.shape, answer === null ? [] : textsOf(answer)], [[8, 2], texts]);
    const runs = engine.takeReport().filter(({ stage }) => stage === "graph");
    assert.deepEqual(
      runs.map(({ runs: count, rows }) => [count, rows]),
      [[3, 8]],
    );
  });

  test("defect: rows that would take long are cut into parts that others come between", async () => {
    await using opened = await open(
      graphBytes({
        nodes: [node("Sqrt", ["x"])],
        inputs: [x(["n", 2])],
        outputs: [y(["n", 2])],
      }),
    );
    const data = Float32Array.from({ length: 120 }, (_, at) => at);
    const item = payload([{ name: "x", datatype: "FP32", shape: [60, 2], data }]);
    const { program } = opened;
    const whole = program.begin(item, () => 60);
    assert.ok(typeof whole === "object" && whole.stage === 1, "a run in time is not cut");
    const long = program.begin(item, () => 7.5);
    assert.ok(typeof long === "object" && long.stage === 0);
    const [cut] = (await program.stages[0]?.run([long])) ?? [];
    assert.ok(cut?.kind === "next");
    const rows = cut.inputs.map(({ cost }) => cost.rows);
    assert.deepEqual(rows, [7, 7, 7, 7, 7, 7, 7, 7, 4]);
    const results = (await program.stages[1]?.run(cut.inputs)) ?? [];
    const values = results.map((result) => {
      assert.ok(result.kind === "done");
      return { ok: true, value: result.value } as const;
    });
    const answer = program.finish(cut.gather(values));
    assert.deepEqual(answer.tensors["0"]?.data, data.map(Math.sqrt));
    const slowest = program.begin(item, () => 0.2);
    assert.ok(typeof slowest === "object");
    const [single] = (await program.stages[0]?.run([slowest])) ?? [];
    assert.equal(single?.kind === "next" && single.inputs.length, 60, "a row is the least");
  });

  test("a thousand inputs", async () => {
    const names = Array.from({ length: 1_000 }, (_, at) => `x${at}`);
    await using opened = await open(
      graphBytes({
        nodes: [node("Sum", names)],
        inputs: names.map((name) => ({ name, type: "FP32", shape: ["n", 1] })),
        outputs: [y(["n", 1])],
      }),
    );
    const list = names.map(
      (name, at) => ({ name, datatype: "FP32", shape: [1, 1], data: Float32Array.of(at) }) as const,
    );
    const [first, second] = await runTogether(opened, [payload(list), payload(list)]);
    assert.deepEqual(
      [first, second].map((one) => Number(one?.tensors["0"]?.data[0])),
      [499_500, 499_500],
    );
  });

  for (const [name, shape] of [["magika", [2048]]] as const) {
    test(`${name}: a row in company is what it is alone`, {
      skip: skipWithout("models"),
    }, async () => {
      await using opened = await open(sharedPath("models", name));
      assert.equal(rowsMaxOf(opened), 64);
      const [entry] = opened.manifest.inputs;
      assert.ok(entry !== undefined);
      const elements = shape.reduce<number>((product, size) => product * size, 1);
      const item = (seed: number): Payload => {
        const numbers = Array.from(
          { length: elements },
          (_, at) => (Math.imul(at + 1, 31 + 2 * seed) + seed) % 257,
        );
        const data =
          entry.datatype === "INT32" ? Int32Array.from(numbers) : Float32Array.from(numbers);
        return payload([
          { name: entry.name, datatype: entry.datatype, shape: [1, ...shape], data },
        ]);
      };
      const items = [0, 1, 2].map(item);
      const company = await runTogether(opened, items);
      for (const [at, each] of items.entries()) {
        const [alone] = await runTogether(opened, [each]);
        const [found, wanted] = [
          company[at]?.tensors["0"]?.data ?? [],
          alone?.tensors["0"]?.data ?? [],
        ];
        assert.equal(found.length, wanted.length);
        for (const [place, value] of found.entries())
          assert.ok(Math.abs(Number(value) - Number(wanted[place])) <= 1e-5);
      }
    });
  }
});

test("a graph that ONNX Runtime cannot run says why", async () => {
  const unknown = graphBytes({
    nodes: [{ ...node("Dream", ["x"]), domain: "nobody" }],
    inputs: [x([1])],
    outputs: [y([1])],
    domains: ["nobody"],
  });
  await assert.rejects(open(unknown), /nobody|Dream/);
  const unwired = graphBytes({ nodes: [node("Sqrt", ["z"])], inputs: [x([1])], outputs: [y([1])] });
  await assert.rejects(open(unwired), /z/);
});
