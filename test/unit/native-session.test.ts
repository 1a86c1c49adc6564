/** ONNX Runtime through its C interface: what is wrong throws and takes nothing with it, and nothing is kept. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Binding } from "#src/runtime/native/binding.js";
import { NativeSession } from "#src/runtime/native/native-session.js";
import { NativeTensor } from "#src/runtime/native/native-tensor.js";
import { RunWatch } from "#src/runtime/run-watch.js";
import { f32, Session } from "#src/runtime/session.js";
import type { TensorValue } from "#src/work/tensors.js";
import { graphBytes } from "../support/onnx-graph.js";
import { memoryBytesOf } from "../support/processes.js";
import { lookUp } from "../support/small-graphs.js";
import { TempDir } from "../support/temp-dir.js";

const options = { threads: 1, spin: false };
const plus = { name: "plus", dims: [2], dataType: 1 };

/** `sum` is `x` and a constant pair, `twice` is the double of that. */
const sums = (initializer: object) =>
  graphBytes({
    nodes: [
      { opType: "Add", input: ["x", "plus"], output: ["sum"] },
      { opType: "Add", input: ["sum", "sum"], output: ["twice"] },
    ],
    inputs: [{ name: "x", type: "FP32", shape: ["n", 2] }],
    outputs: [
      { name: "sum", type: "FP32", shape: ["n", 2] },
      { name: "twice", type: "FP32", shape: ["n", 2] },
    ],
    initializers: [{ ...plus, ...initializer }],
  });

const pair = new Uint8Array(Float32Array.of(1, 10).buffer);
let dir: TempDir;

before(async () => {
  dir = await TempDir.make();
  await writeFile(dir.file("sums.onnx"), sums({ rawData: pair }));
  await writeFile(dir.file("look-up.onnx"), lookUp);
});

after(() => dir[Symbol.asyncDispose]());

async function withSums(
  use: (session: NativeSession) => Promise<void>,
  path = dir.file("sums.onnx"),
): Promise<void> {
  const session = await NativeSession.open(path, options);
  try {
    await use(session);
  } finally {
    session.release();
  }
}

test("inputs are read and outputs written where they are", async () => {
  await withSums(async (session) => {
    const floats = { datatype: "FP32", shape: ["n", 2] };
    assert.deepEqual(session.inputs, [{ name: "x", ...floats }]);
    assert.deepEqual(session.outputs, [
      { name: "sum", ...floats },
      { name: "twice", ...floats },
    ]);
    const run = new Binding(session, { sum: null, twice: null });
    const x = Float32Array.of(1, 2, 3, 4, 5, 6);
    // Longer than the run: what is behind stays as it was.
    const sum = new Float32Array(8).fill(-1);
    const twice = new Float32Array(4);
    run.feed("x", x, [2, 2]);
    run.fetch("sum", sum, [2, 2]);
    run.fetch("twice", twice, [2, 2]);
    await run.run();
    assert.deepEqual([...sum], [2, 12, 4, 14, -1, -1, -1, -1]);
    assert.deepEqual([...twice], [4, 24, 8, 28]);
    x[0] = 5;
    await run.run();
    assert.deepEqual([...sum.subarray(0, 4)], [6, 12, 4, 14], "nothing was fed again");
  });
});

test("what goes in and comes out in one place is changed there", async () => {
  await withSums(async (session) => {
    const run = new Binding(session, { sum: null });
    const x = Float32Array.of(1, 2, 3, 4);
    run.bindInPlace(["x", "sum"], x, [2, 2]);
    for (let times = 0; times < 3; times += 1) await run.run();
    assert.deepEqual([...x], [4, 32, 6, 34]);
  });
});

test("defect: an output that shared a replaced input is named, not written", async () => {
  await withSums(async (session) => {
    const run = new Binding(session, { sum: null });
    const shared = Float32Array.of(1, 2);
    run.bindInPlace(["x", "sum"], shared, [1, 2]);
    await run.run();
    run.feed("x", Float32Array.of(1, 2), [1, 2]);
    await assert.rejects(run.run(), /nothing was given for sum/);
    const sum = new Float32Array(2);
    run.fetch("sum", sum, [1, 2]);
    await run.run();
    assert.deepEqual([...sum], [2, 12]);
    assert.deepEqual([...shared], [2, 12], "as the first run left it");
  });
});

test("outputs that nobody gave memory for are seen, with their shapes", async () => {
  await withSums(async (session) => {
    let seen: Readonly<Record<string, TensorValue>> = {};
    const run = new Binding(session, { sum: null }, (watched) => {
      seen = watched;
    });
    run.feed("x", Float32Array.of(1, 2), [1, 2]);
    run.fetch("sum", new Float32Array(2), [1, 2]);
    await run.run();
    assert.deepEqual(seen, {
      twice: { datatype: "FP32", shape: [1, 2], data: Float32Array.of(4, 24) },
    });
    run.feed("x", new Float32Array(), [0, 2]);
    run.fetch("sum", new Float32Array(), [0, 2]);
    await run.run();
    assert.deepEqual(seen, {
      twice: { datatype: "FP32", shape: [0, 2], data: new Float32Array() },
    });
  });
});

test("a shape that does not fit throws what the runtime says, and the session lives on", async () => {
  await withSums(async (session) => {
    const run = new Binding(session, { sum: null });
    const sum = new Float32Array(6);
    run.feed("x", Float32Array.of(1, 2, 3, 4), [2, 2]);
    run.fetch("sum", sum, [3, 2]);
    await assert.rejects(run.run(), /shape/);
    run.feed("x", Float32Array.of(1, 2, 3, 4), [4]);
    await assert.rejects(run.run(), /rank/i);
    run.feed("x", Float32Array.of(1, 2), [1, 2]);
    run.fetch("sum", sum, [1, 2]);
    await run.run();
    assert.deepEqual([...sum.subarray(0, 2)], [2, 12]);
    assert.throws(
      () => run.feed("x", new Float32Array(3), [2, 2]),
      /not enough space: expected 16, got 12/,
    );
    assert.throws(
      () =>
        new NativeTensor({
          datatype: "FP32",
          shape: Array.from({ length: 17 }, () => 1),
          data: new Float32Array(1),
        }),
      /17 dimensions/,
    );
  });
});

test("defect: sizes that do not fit into the runtime's numbers are refused, not cut", () => {
  const data = new Float32Array(8);
  for (const size of [2 ** 32 + 2, 2 ** 31, -1, 1.5, Number.NaN])
    assert.throws(
      () => new NativeTensor({ datatype: "FP32", shape: [size, 2], data }),
      /a dimension of/,
    );
});

test("a node that throws says why, and the session lives on", async () => {
  const session = await NativeSession.open(dir.file("look-up.onnx"), options);
  const run = new Binding(session, { found: null });
  const found = new Float32Array(2);
  run.feed("at", BigInt64Array.of(7n, 2n), [2]);
  run.fetch("found", found, [2]);
  await assert.rejects(run.run(), /indices element out of data bounds, idx=7/);
  run.feed("at", BigInt64Array.of(3n, 2n), [2]);
  await run.run();
  assert.deepEqual([...found], [9, 4]);
  session.release();
});

test("an input that was never fed, or an output that was never fetched, is named before the run", async () => {
  await withSums(async (session) => {
    const run = new Binding(session, { sum: null });
    const sum = new Float32Array(2);
    run.fetch("sum", sum, [1, 2]);
    await assert.rejects(run.run(), /nothing was given for x/);
    run.feed("x", Float32Array.of(1, 2), [1, 2]);
    await run.run();
    run.clear();
    await assert.rejects(run.run(), /nothing was given for x/);
    run.feed("x", Float32Array.of(1, 2), [1, 2]);
    await assert.rejects(run.run(), /nothing was given for sum/);
    run.fetch("sum", sum, [1, 2]);
    await run.run();
    assert.deepEqual([...sum], [2, 12]);
  });
});

test("nothing is changed under a run that waits for its turn", async () => {
  const session = await NativeSession.open(dir.file("sums.onnx"), options);
  const run = new Binding(session, { sum: null });
  const x = Float32Array.of(1, 2);
  const sum = new Float32Array(2);
  run.feed("x", x, [1, 2]);
  run.fetch("sum", sum, [1, 2]);
  const running = run.run();
  assert.throws(() => run.feed("x", x, [1, 2]), /a run is under way/);
  assert.throws(() => run.clear(), /a run is under way/);
  await running;
  assert.deepEqual([...sum], [2, 12]);
  const late = run.run();
  session.release();
  await assert.rejects(late, /the session was released/);
  session.release();
});

test("a profile is written, and its file is named", async () => {
  const profilePrefix = dir.file("profile");
  const session = await NativeSession.open(dir.file("sums.onnx"), { ...options, profilePrefix });
  const run = new Binding(session, { sum: null });
  run.feed("x", Float32Array.of(1, 2), [1, 2]);
  run.fetch("sum", new Float32Array(2), [1, 2]);
  await run.run();
  const events = JSON.parse(await readFile(session.endProfiling(), "utf8")) as { name: string }[];
  assert.ok(
    events.some(({ name }) => name.startsWith("n0")),
    "the node's time",
  );
  session.release();
});

test("defect: the profile of a session that was released is refused, not read from freed memory", async () => {
  const profilePrefix = dir.file("late");
  const session = await NativeSession.open(dir.file("sums.onnx"), { ...options, profilePrefix });
  session.release();
  assert.throws(() => session.endProfiling(), /the session was released/);
});

test("names that the graph lacks, files that are missing and files that are no graphs throw", async () => {
  await withSums(async (session) => {
    assert.throws(() => new Binding(session, { product: null }), /the graph has no product/);
    const run = new Binding(session, { sum: null });
    // Before anything is made for it.
    assert.throws(() => run.feed("y", new Float32Array(1), [1, 2]), /the graph has no y/);
    assert.throws(
      () => run.fetch("twice", new Float32Array(2), [1, 2]),
      /nobody said that it is fetched/,
    );
  });
  await assert.rejects(NativeSession.open(dir.file("none.onnx"), options), /none\.onnx/);
  await writeFile(dir.file("text.onnx"), "no graph");
  await assert.rejects(NativeSession.open(dir.file("text.onnx"), options), /text\.onnx/);
});

test("weights of a file of their own are read into memory: the file may change, or go", async () => {
  const place = [{ key: "location", value: "plus.bin" }];
  await writeFile(dir.file("outside.onnx"), sums({ dataLocation: 1, externalData: place }));
  await writeFile(dir.file("plus.bin"), pair);
  const session = await NativeSession.open(dir.file("outside.onnx"), {
    ...options,
    data: ["plus.bin"],
  });
  await writeFile(dir.file("plus.bin"), new Uint8Array(4));
  await rm(dir.file("plus.bin"));
  const run = new Binding(session, { sum: null });
  const sum = new Float32Array(2);
  run.feed("x", Float32Array.of(1, 2), [1, 2]);
  run.fetch("sum", sum, [1, 2]);
  await run.run();
  assert.deepEqual([...sum], [2, 12]);
  session.release();
  const missing = { ...options, data: ["plus.bin"] };
  await assert.rejects(NativeSession.open(dir.file("outside.onnx"), missing), /plus\.bin/);
});

test("defect: outputs behind one that cannot be read are given back", async () => {
  const pairs = (name: string, type: "FP32" | number) => ({ name, type, shape: ["n", 2] });
  const float8 = 17;
  const to = [{ name: "to", type: 2, i: float8 }];
  const bytes = graphBytes({
    nodes: [
      { opType: "Add", input: ["x", "x"], output: ["sum"] },
      { opType: "Cast", input: ["sum"], output: ["rough"], attribute: to },
      { opType: "Add", input: ["sum", "x"], output: ["thrice"] },
    ],
    inputs: [pairs("x", "FP32")],
    outputs: [pairs("sum", "FP32"), pairs("rough", float8), pairs("thrice", "FP32")],
    opset: 19,
  });
  await writeFile(dir.file("compared.onnx"), bytes);
  await withSums(async (session) => {
    const rows = 32_768;
    const run = new Binding(session, { sum: null }, () => {});
    run.feed("x", new Float32Array(2 * rows), [rows, 2]);
    run.fetch("sum", new Float32Array(2 * rows), [rows, 2]);
    const before = memoryBytesOf(process.pid, "VmRSS");
    for (let times = 0; times < 500; times += 1)
      await assert.rejects(run.run(), /a type that nobody reads/);
    const grown = memoryBytesOf(process.pid, "VmRSS") - before;
    // Kept, they would be 125 MiB.
    assert.ok(grown < 2 ** 25, `${grown} bytes more`);
  }, dir.file("compared.onnx"));
});

test("defect: a thousand runs of changing shapes, some of which throw, keep no memory, and the library stays", async () => {
  await withSums(async (session) => {
    const run = new Binding(session, { sum: null }, () => {});
    const rowsMax = 32_768;
    const x = new Float32Array(2 * rowsMax);
    const sum = new Float32Array(2 * rowsMax);
    const runs = async (count: number) => {
      for (let at = 0; at < count; at += 1) {
        const rows = rowsMax - (at % 100);
        run.feed("x", x, [rows, 2]);
        run.fetch("sum", sum, [at % 10 === 9 ? rows - 1 : rows, 2]);
        if (at % 10 === 9) await assert.rejects(run.run());
        else await run.run();
      }
    };
    await runs(200);
    const before = memoryBytesOf(process.pid, "VmRSS");
    await runs(1_000);
    const grown = memoryBytesOf(process.pid, "VmRSS") - before;
    // Kept, the outputs alone would be 250 MiB.
    assert.ok(grown < 2 ** 26, `${grown} bytes more`);
  });
});

test("a run of a session that is open is written down, others are not, and what comes out is the same", async () => {
  const watch = new RunWatch();
  const path = dir.file("sums.onnx");
  const session = await NativeSession.open(path, options, watch.graph("sums"));
  try {
    const run = new Binding(session, { sum: null, twice: null });
    const twice = new Float32Array(2);
    run.feed("x", Float32Array.of(1, 2), [1, 2]);
    run.fetch("sum", new Float32Array(2), [1, 2]);
    run.fetch("twice", twice, [1, 2]);
    await run.run();
    assert.deepEqual(watch.stop(), [], "nobody asked");
    watch.start();
    twice.fill(0);
    for (let at = 0; at < 3; at += 1) await run.run();
    assert.deepEqual([...twice], [4, 24]);
    const [seen, ...others] = watch.stop();
    assert.deepEqual(others, []);
    assert.equal(seen?.graph, "sums");
    assert.equal(seen.runs, 3);
    assert.equal(seen.problem, null);
    assert.ok(seen.events.runs >= 1 && seen.events.runs <= 3);
    const sums = [...seen.events.operators].map(([name, { calls }]) => [name, calls]);
    assert.deepEqual(sums, [["Add", 2 * seen.events.runs]]);
    await run.run();
    assert.deepEqual(watch.stop(), []);
  } finally {
    session.release();
  }
});

test("defect: a graph whose nodes have quotes in their names is seen as others are", async () => {
  const odd = 'a"b\\c\nd';
  const bytes = graphBytes({
    nodes: [
      { name: odd, opType: "Add", input: ["x", "x"], output: ["z"] },
      { name: "plain", opType: "Mul", input: ["z", "x"], output: ["y"] },
    ],
    inputs: [{ name: "x", type: "FP32", shape: [1] }],
    outputs: [{ name: "y", type: "FP32", shape: [1] }],
  });
  await writeFile(dir.file("quotes.onnx"), bytes);
  const watch = new RunWatch();
  watch.start();
  const session = await Session.open(dir.file("quotes.onnx"), options, watch.graph("quotes"));
  await session.run({ x: f32(Float32Array.of(2), [1]) });
  session.release();
  const [seen] = watch.stop();
  assert.equal(seen?.problem, null);
  const nodes = [...seen.events.operators].map(([operator, sum]) => [
    operator,
    ...sum.nodes.keys(),
  ]);
  assert.deepEqual(nodes, [
    ["Add", odd],
    ["Mul", "plain"],
  ]);
});

test("defect: what a process that was killed in a written run left is gone with the next profile", async () => {
  const { pid } = spawnSync(process.execPath, ["--version"]);
  await using temp = await TempDir.make();
  const [left, own] = [`millrace-run-${pid}-a`, `millrace-run-${process.pid}-a`];
  for (const name of [left, own]) await mkdir(temp.file(name));
  await writeFile(temp.file(left, "run_0.json"), "[");
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = temp.path;
  try {
    new RunWatch().start();
    assert.deepEqual(await readdir(temp.path), [own]);
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
});

test("where nothing can be written runs go on, and the reason names no path", async () => {
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = dir.file("nowhere");
  try {
    const watch = new RunWatch();
    watch.start();
    const watcher = watch.graph("g");
    assert.equal(watcher.begin(), null);
    watcher.end();
    const [seen] = watch.stop();
    assert.equal(seen?.runs, 1);
    assert.equal(seen.problem, "no temporary file could be written and read: ENOENT");
  } finally {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  }
});
