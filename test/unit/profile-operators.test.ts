/** What ONNX Runtime writes down of its runs, in; its operators beneath the call into it, out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { addProfile, listed, nativeRunName, rootFrame, totalMs } from "#src/profile/call-tree.js";
import { addOperators, profiledGraphs, type WatchedGraph } from "#src/profile/operators.js";
import { RunEvents } from "#src/profile/run-events.js";

const kernel = (node: string, operator: string, [ts, dur]: readonly [number, number]) => ({
  cat: "Node",
  name: `${node}_kernel_time`,
  ts,
  dur,
  args: { op_name: operator },
});
const run = (dur: number) => ({ cat: "Session", name: "model_run", ts: 0, dur });

/** Ten milliseconds: six of two products, two of a branch and one of what is inside of it. */
const events = [
  kernel("first", "MatMul", [0, 4_000]),
  kernel("second", "MatMul", [4_000, 2_000]),
  kernel("inner", "Add", [6_200, 1_000]),
  kernel("branch", "If", [6_000, 3_000]),
  run(10_000),
];

/** Twenty milliseconds of four runs, of which one was written down. */
function watched(written: RunEvents): WatchedGraph {
  const problem = null;
  return {
    graph: "m decoder",
    runs: 4,
    ms: 20,
    writingMs: 5,
    readingMs: 1,
    events: written,
    problem,
  };
}

test("a node's time is its own, without what ran inside of it", () => {
  const written = new RunEvents();
  assert.equal(written.add(JSON.stringify(events)), 10);
  const sums = [...written.operators].map(([name, { ms, calls }]) => [name, ms, calls]);
  assert.deepEqual(sums, [
    ["MatMul", 6, 2],
    ["Add", 1, 1],
    ["If", 2, 1],
  ]);
  assert.throws(() => written.add("[{"));
  assert.throws(() => written.add("{}"), /no list/);
});

test("defect: names of nodes are as the graph has them, and the runtime writes them so: no JSON", () => {
  const name = 'a"b\\c\n{"cat" : "</title>';
  const text = [
    '{"cat" : "Node","dur" :3000,"ts" :0,"ph" : "X","name" :"plain_kernel_time","args" : {"op_name" : "Mul"}},',
    `{"cat" : "Node","dur" :2000,"ts" :4000,"ph" : "X","name" :"${name}_kernel_time","args" : {"op_name" : "Add"}},`,
    '{"cat" : "Session","dur" :7000,"ts" :0,"ph" : "X","name" :"model_run","args" : {}}',
  ];
  const written = new RunEvents();
  assert.equal(written.add(`[\n${text.join("\n")}\n]\n`), 7);
  const nodes = [...written.operators].map(([operator, sum]) => [operator, [...sum.nodes]]);
  assert.deepEqual(nodes, [
    ["Mul", [["plain", 3]]],
    ["Add", [[name, 2]]],
  ]);
});

test("runs that were not written down are taken to be like those that were", () => {
  const written = new RunEvents();
  written.add(JSON.stringify(events));
  const [graph] = profiledGraphs([watched(written)]);
  assert.equal(graph?.watchedRuns, 1);
  assert.equal(graph.watchingMs, 6);
  assert.deepEqual(graph.operators, [
    { operator: "MatMul", calls: 2, ms: 12 },
    { operator: "If", calls: 1, ms: 4 },
    { operator: "Add", calls: 1, ms: 2 },
  ]);
});

test("operators and their nodes stand beneath the call into the runtime, and the sum stays", () => {
  const url = "file:///m/native-session.js";
  const frame = (functionName: string, its: string) => {
    return { functionName, scriptId: "0", url: its, lineNumber: 0, columnNumber: 0 };
  };
  const root = rootFrame();
  const nodes = [
    { id: 1, callFrame: frame("(root)", ""), children: [2] },
    { id: 2, callFrame: frame("runNative", url), children: [3] },
    { id: 3, callFrame: frame("", "") },
  ];
  const profile = { startTime: 0, endTime: 50_000, samples: [3, 3], timeDeltas: [0, 50_000] };
  addProfile(root, { nodes, ...profile }, { from: 0, to: 50_000 });
  const written = new RunEvents();
  written.add(JSON.stringify(events));
  addOperators(root, [watched(written)]);
  assert.equal(Math.round(totalMs(root)), 50);
  const list = listed(root, () => ({ file: "", line: 0 }));
  const told = list.map(({ parent, name, kind, selfMs }) => [
    parent,
    name,
    kind,
    Math.round(selfMs),
  ]);
  assert.deepEqual(told.slice(2), [
    [1, nativeRunName, "runtime", 0],
    [2, "m decoder", "runtime", 4],
    [3, "MatMul", "kernel", 0],
    [4, "first", "kernel", 16],
    [4, "second", "kernel", 8],
    [3, "Add", "kernel", 0],
    [7, "inner", "kernel", 4],
    [3, "If", "kernel", 0],
    [9, "branch", "kernel", 8],
    [2, "its profiler", "runtime", 10],
  ]);
});
