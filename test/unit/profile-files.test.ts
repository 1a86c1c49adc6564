/** A known profile in, exact files out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { SampledProfile } from "millrace-client/wire";
import { addProfile, listed, rootFrame, totalMs } from "#src/profile/call-tree.js";
import { cpuProfileOf } from "#src/profile/cpuprofile.js";
import { drawFlame } from "#src/profile/flame.js";
import { speedscopeOf } from "#src/profile/speedscope.js";
import { framesOf, summaryOf } from "#src/profile/summary.js";

const known: SampledProfile = {
  sampledMs: 100,
  everyMs: 1,
  stoodStillMs: { start: 2, stop: 3 },
  nodes: [
    { parent: -1, name: "all", file: "", line: 0, kind: "node", selfMs: 0 },
    { parent: 0, name: "(idle)", file: "", line: 0, kind: "idle", selfMs: 40 },
    { parent: 0, name: "step", file: "src/a.ts", line: 7, kind: "javascript", selfMs: 10 },
    { parent: 2, name: "run", file: "", line: 0, kind: "runtime", selfMs: 45 },
    { parent: 2, name: "step", file: "src/a.ts", line: 7, kind: "javascript", selfMs: 5 },
  ],
  graphs: [],
};

test("a summary has the share of each kind, and functions by what they took themselves", () => {
  const { shares, functions } = summaryOf(known);
  assert.deepEqual(shares, {
    javascript: 0.15,
    node: 0,
    collection: 0,
    runtime: 0.45,
    kernel: 0,
    idle: 0.4,
  });
  assert.deepEqual(functions, [
    { name: "run", place: "", selfMs: 45, share: 0.45 },
    { name: "step", place: "src/a.ts:7", selfMs: 15, share: 0.15 },
  ]);
});

test("speedscope's file has its schema, a stack for each function, and its time as weight", () => {
  const file = speedscopeOf("front", known);
  assert.equal(file.$schema, "https://www.speedscope.app/file-format-schema.json");
  assert.deepEqual(file.shared.frames, [
    { name: "(idle)" },
    { name: "step", file: "src/a.ts", line: 7 },
    { name: "run" },
  ]);
  const [profile] = file.profiles;
  assert.equal(profile.type, "sampled");
  assert.equal(profile.unit, "milliseconds");
  assert.equal(profile.endValue, 100);
  assert.deepEqual(profile.samples, [[0], [1], [1, 2], [1, 1]]);
  assert.deepEqual(profile.weights, [40, 10, 45, 5]);
});

test("a flame graph has each frame as wide as it took, and its title", () => {
  const svg = drawFlame({ title: "a <b>", note: "", root: framesOf(known) });
  assert.match(svg, /<title>step src\/a\.ts:7: 60\.0 ms, 60\.0%<\/title>/);
  assert.match(svg, /<title>a &lt;b&gt;<\/title>/);
});

test("defect: a drawing is XML whatever a frame is called, and speedscope's file is JSON", () => {
  const name = `</title><script>"&amp;'\u0000\u0001\ud800\ufffe]]>\n\u{1f600}`;
  const root = known.nodes.slice(0, 1);
  const hostile = { parent: 0, name, file: name, line: 1, kind: "kernel", selfMs: 60 } as const;
  const profile: SampledProfile = { ...known, nodes: [...root, hostile] };
  const svg = drawFlame({ title: name, note: name, root: framesOf(profile) });
  assert.doesNotMatch(svg, /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u);
  assert.match(svg, /\u{1f600}/u, "what is allowed is there");
  const tags = /<(?<end>\/?)(?<tag>\w+)(?: [\w-]+="[^"<&]*")*(?<alone>\/?)>/g;
  const open: string[] = [];
  for (const { groups: { end, tag = "", alone } = {} } of svg.matchAll(tags)) {
    if (end === "/") assert.equal(open.pop(), tag);
    else if (alone === "") open.push(tag);
  }
  assert.deepEqual(open, []);
  // What is left without tags, and without what stands for a character, has none of theirs.
  assert.doesNotMatch(svg.replaceAll(tags, "").replaceAll(/&(?:amp|lt|gt);/g, ""), /[<&]/);
  const read = JSON.parse(JSON.stringify(speedscopeOf(name, profile)));
  assert.equal(read.shared.frames[0].name, name);
});

test("speedscope's file: each stack is of frames that are there, and each has its weight", () => {
  const { shared, profiles } = speedscopeOf("front", known);
  const [{ samples, weights, startValue, endValue }] = profiles;
  assert.equal(samples.length, weights.length);
  for (const frame of samples.flat()) assert.ok(shared.frames[frame] !== undefined);
  assert.ok(weights.every((weight) => weight > 0));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  assert.equal(endValue - startValue, sum);
});

test("V8's own format gives the same times when it is read again", () => {
  const root = rootFrame();
  const file = cpuProfileOf(known);
  addProfile(root, { ...file, samples: file.samples ?? [] }, { from: 0, to: 100_000 });
  assert.equal(totalMs(root), 100);
});

test("defect: what passes until V8 takes its first sample was told as the start of the profiler", () => {
  const callFrame = (functionName: string) => ({
    functionName,
    scriptId: "1",
    url: "file:///a.js",
    lineNumber: 1,
    columnNumber: 1,
  });
  const nodes = [
    { id: 1, callFrame: callFrame("(root)"), children: [2, 3] },
    { id: 2, callFrame: callFrame("dispatch") },
    { id: 3, callFrame: callFrame("step") },
  ];
  const told = (samples: number[], timeDeltas: number[]) => {
    const root = rootFrame();
    const profile = { nodes, startTime: 0, endTime: 100_000, samples, timeDeltas };
    const sampledMs = addProfile(root, profile, { from: 10_000, to: 90_000 });
    const frames = listed(root, () => ({ file: "", line: 0 })).filter(({ selfMs }) => selfMs > 0);
    return { sampledMs, frames: frames.map(({ name, selfMs }) => [name, selfMs]) };
  };
  const late = told([2, 3, 3, 2], [5_000, 55_000, 20_000, 15_000]);
  assert.deepEqual(late, { sampledMs: 30, frames: [["step", 30]] });
  assert.deepEqual(told([2, 2], [5_000, 90_000]), { sampledMs: 0, frames: [] });
});

test("what took least is left out, and its time is its caller's", () => {
  const root = rootFrame();
  addProfile(root, cpuProfileOf(known), { from: 0, to: 100_000 });
  const nodes = listed(root, () => ({ file: "", line: 0 }), 3);
  assert.equal(nodes.length, 3);
  assert.deepEqual(
    nodes.map(({ selfMs }) => selfMs),
    [40, 15, 45],
  );
});
