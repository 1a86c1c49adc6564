import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const runFile = promisify(execFile);

async function bench(...args: string[]): Promise<string> {
  const { stdout } = await runFile(process.execPath, ["build/bench/main.js", ...args]);
  return stdout;
}

test("the engine benchmark runs, and all ways to drive the graphs give the same results", async () => {
  const size = ["--count", "16", "--rounds", "1", "--seconds", "0.5"];
  const out = await bench("engine", "--source", "nowhere", ...size);
  const hashes = [...out.matchAll(/\) {3}([0-9a-f]{12})$/gm)].map((match) => match[1]);
  assert.equal(hashes.length, 5);
  assert.equal(new Set(hashes).size, 1);
  assert.match(out, /commit [0-9a-f]{7}/);
  assert.match(out, /float32: left out/);
  assert.match(out, /whole server through HTTP +\d+/);
  assert.match(out, /failed 0/);
});

test("recorded runs have the simulator's form", async () => {
  const recorded = JSON.parse(await bench("record-runs", "--repeats", "1", "--largest", "16")) as {
    source: string;
    runs: { stage: string; ms: number }[];
  };
  assert.match(recorded.source, /record-runs/);
  assert.ok(recorded.runs.every(({ ms }) => ms > 0));
  assert.deepEqual([...new Set(recorded.runs.map(({ stage }) => stage))], ["encode", "decode"]);
});

test("the frames benchmark runs, and both ways to move items give the same lists", async () => {
  const out = await bench("frames", "--rounds", "1", "--items", "64");
  const hashes = [...out.matchAll(/^(?:batch|items) .* ([0-9a-f]{12})$/gm)].map(
    (match) => match[1],
  );
  assert.equal(hashes.length, 24);
  // One for each number of items and of tokens.
  assert.equal(new Set(hashes).size, 6);
});

test("the memory benchmark runs, and shared weights give the same results", async (t) => {
  if (process.platform !== "linux") return t.skip("only Linux tells proportional set sizes");
  const out = await bench("memory", "--count", "8", "--rounds", "1");
  const hashes = [...out.matchAll(/results +([0-9a-f]{12})$/gm)].map((match) => match[1]);
  assert.equal(hashes.length, 2);
  assert.equal(new Set(hashes).size, 1);
  assert.match(out, /weights shared: MiB/);
  assert.match(out, /speed of shared weights over a copy of its own: \d/);
});
