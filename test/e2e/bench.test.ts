import assert from "node:assert/strict";
import { copyFile, readFile } from "node:fs/promises";
import { test } from "node:test";
import { floatsOf, i64, Session } from "#src/runtime/session.js";
import { benches } from "../../bench/benches.js";
import { drivers } from "../../bench/clients/drivers.js";
import { cosineOf } from "../../bench/clients/peers/cosine.js";
import { writePlainGraph } from "../../bench/clients/peers/plain-graph.js";
import { makeModels } from "../../bench/tasks/make-models.js";
import { shapes } from "../../bench/tasks/shapes.js";
import { bench, figuresIn } from "../support/bench.js";
import { EncoderGraph } from "../support/encoder.js";
import { isLong } from "../support/long.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

if (isLong) {
  test("the engine benchmark runs, and all ways to drive the graphs give the same results", async () => {
    const size = ["--count", "16", "--rounds", "1", "--seconds", "0.5"];
    const out = await bench("engine", "--source", "nowhere", ...size);
    const hashes = [...out.matchAll(/^\|.* ([0-9a-f]{12}) *\|$/gm)].map((match) => match[1]);
    assert.equal(hashes.length, 5);
    assert.equal(new Set(hashes).size, 1);
    assert.match(out, /commit [0-9a-f]{7}/);
    assert.match(out, /float32: left out/);
    assert.match(out, /whole server through HTTP +\d+/);
    assert.match(out, /whole server through HTTP, failed +0/);
  });
}

test("--help lists every benchmark with what it answers, and each one's own help begins with that", async (t) => {
  const list = await bench("--help");
  const frames = await bench("frames", "--help");
  const said = t.mock.method(console, "log", () => {});
  for (const [name, { about, open }] of Object.entries(benches)) {
    assert.ok(list.includes(`\n  ${name} `) && list.includes(`  ${about}\n`), name);
    said.mock.resetCalls();
    const { run } = await open();
    await run(["--help"]);
    const text = said.mock.calls.map(({ arguments: [line] }) => String(line)).join("\n");
    assert.ok(text.includes(`npm run bench -- ${name} `), `${name} says: ${text}`);
    assert.ok(!text.includes(about), `the help of ${name} says twice what it answers`);
  }
  assert.ok(frames.startsWith(`frames: ${benches["frames"]?.about}\n\nnpm run bench -- frames `));
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
  await using dir = await TempDir.make();
  const size = ["--rounds", "1", "--items", "64"];
  const out = await bench("frames", ...size, "--json", dir.file("frames.json"));
  const hashes = [...out.matchAll(/^\| (?:batch|items) .* ([0-9a-f]{12}) *\|$/gm)].map(
    (match) => match[1],
  );
  const { tables } = JSON.parse(await readFile(dir.file("frames.json"), "utf8"));
  assert.equal(tables[0].rows.length, 24);
  assert.equal(hashes.length, 24);
  // One for each number of items and of tokens.
  assert.equal(new Set(hashes).size, 6);
});

if (isLong) {
  test("the memory benchmark runs, and shared weights give the same results", async (t) => {
    if (process.platform !== "linux") return t.skip("only Linux tells proportional set sizes");
    const out = await bench("memory", "--count", "8", "--rounds", "1");
    const hashes = [...out.matchAll(/: results ([0-9a-f]{12})$/gm)].map((match) => match[1]);
    assert.equal(hashes.length, 2);
    assert.equal(new Set(hashes).size, 1);
    assert.match(out, /weights shared: MiB/);
    assert.match(out, /speed of shared weights \/ a copy of its own +\d/);
  });
}

/** Each line that every part of the tasks benchmark must print; `#` is a figure with its least and its most. */
const tasksLines: readonly string[] = [
  ...["f32", "int8"].flatMap((precision) => [
    `tiny ${precision}, packed by length # texts/s`,
    `tiny ${precision}, fixed batches of 32 # texts/s`,
    `tiny ${precision}, the same without padding # texts/s`,
    `tiny ${precision}: packed / fixed #`,
    `tiny ${precision}: packed / fixed, no padding #`,
    `tiny ${precision}, through HTTP: 64 callers of one text # texts/s`,
    `tiny ${precision}, through HTTP: one caller of all # texts/s`,
    `tiny ${precision}, through HTTP: 64 callers / one caller #`,
  ]),
  "tiny: int8 / float32, packed #",
  "tiny int8, 12 models of which 3 fit: a session made # ms",
  "tiny int8, 12 models of which 3 fit: first answer # ms",
];
const pagesLines = [
  "one after another in one process # pages/s",
  "through the server, 1 × 1 threads # pages/s",
  "through the server, 1 × 1 threads / one after another #",
];

if (isLong) {
  test("the tasks benchmark runs to its end with a tiny shape, and all ways give the same vectors and lines", async (t) => {
    await using dir = await TempDir.make();
    const size = ["--shapes", "tiny", "--texts", "24", "--rounds", "1", "--threads", "1"];
    const hasGraphs = skipWithout("models", "ocr") === false;
    if (hasGraphs)
      await copyFile(sharedPath("data", "images", "ocr", "text_cls.jpg"), dir.file("page.jpg"));
    else t.diagnostic("pages are left out: their graphs are not beside the checkout");
    const graphs = hasGraphs ? sharedPath("models", "ocr") : dir.file("nowhere");
    size.push("--json", dir.file("tasks.json"));
    const out = await bench("tasks", ...size, "--graphs", graphs, "--pictures", dir.path);
    const printed = figuresIn(out);
    const expected = [...tasksLines, ...(hasGraphs ? pagesLines : [])];
    const { rows } = JSON.parse(await readFile(dir.file("tasks.json"), "utf8"));
    assert.ok(rows.length >= expected.length);
    assert.deepEqual(
      expected.filter((line) => !printed.includes(line)),
      [],
      out,
    );
    const differences = [...out.matchAll(/largest difference between the ways (\S+)$/gm)];
    assert.equal(differences.length, 2);
    for (const [, difference] of differences) assert.ok(Number(difference) < 1e-4, difference);
    if (hasGraphs) assert.match(out, /^pages: 4 a round, 4, 4 lines found; 16 callers$/m);
    else assert.match(out, /^pages: left out, there is no /m);
  });
}

/** Lines of the clients benchmark; `#` is a figure with its least and its most. */
const clientsLines: readonly string[] = [
  "front alone, requests of 16, no vector # items/s",
  "front alone, requests of 16, a vector of 384 in base64 # items/s",
  "front alone, requests of 16, a vector of 384 in digits # items/s",
  ...drivers.flatMap(({ name: front }) => [
    `tiny int8, ${front}: 8 callers of one text # texts/s`,
    `tiny int8, ${front}: one caller of all # texts/s`,
    `tiny int8, ${front}: 8 callers / one caller #`,
  ]),
  "tiny int8, bert over ZeroMQ: a config request while all pipelines are busy, p99 # ms",
  "tiny int8, bert over ZeroMQ: of 20 fresh clients lost their reply #",
];

if (isLong) {
  test("the clients benchmark runs to its end with a tiny shape, and says what it leaves out", async () => {
    await using dir = await TempDir.make();
    const size = ["--shapes", "tiny", "--texts", "24", "--rounds", "1", "--seconds", "0.3"];
    size.push("--precisions", "int8");
    const own = ["--callers", "8", "--clients", "20", "--pipelines", "1", "--threads", "1"];
    const files = ["--peers", dir.file("nowhere"), "--json", dir.file("figures.json")];
    const out = await bench("clients", ...size, ...own, ...files);
    const printed = figuresIn(out);
    assert.deepEqual(
      clientsLines.filter((line) => !printed.includes(line)),
      [],
      out,
    );
    assert.match(
      out,
      /^peers: left out, @huggingface\/transformers@\S+ and fastify@\S+ are not in /m,
    );
    const { rows } = JSON.parse(await readFile(dir.file("figures.json"), "utf8")) as {
      readonly rows: readonly { readonly title: string; readonly median: number }[];
    };
    assert.ok(rows.length >= clientsLines.length && rows.every(({ median }) => median >= 0), out);
    assert.equal(rows.find(({ title }) => title.endsWith("lost their reply"))?.median, 0);
  });

  test("the graph that the other side is given is the same encoder: vectors are equal in float32, and near in int8", async () => {
    await using dir = await TempDir.make();
    const shape = shapes["tiny"];
    assert.ok(shape !== undefined);
    const [model] = await makeModels(dir.path, shape);
    assert.ok(model !== undefined);
    await using own = await EncoderGraph.open(model.dir);
    const ids = [2, 17, 88, 301, 3];
    const [answer] = await own.run([{ ids }]);
    for (const [precision, least] of [
      ["f32", 0.999_999],
      ["int8", 0.9],
    ] as const) {
      const path = dir.file(`${precision}.onnx`);
      await writePlainGraph(path, { sourceDir: dir.file("tiny/source"), shape, precision });
      const session = await Session.open(path, { threads: 1, spin: false });
      // Padding must change nothing of it.
      const padded = [...ids, 0, 0, 0];
      const fetches = await session.run(
        {
          input_ids: i64(padded, [1, 8]),
          attention_mask: i64(
            padded.map((_, at) => (at < ids.length ? 1 : 0)),
            [1, 8],
          ),
          token_type_ids: i64(
            padded.map(() => 0),
            [1, 8],
          ),
        },
        ["last_hidden_state"],
      );
      const hidden = floatsOf(fetches, "last_hidden_state").slice(0, ids.length * shape.width);
      session.release();
      const cosine = cosineOf(hidden, answer?.tokens ?? new Float32Array());
      assert.ok(cosine > least, `${precision}: ${cosine}`);
    }
  });
}
