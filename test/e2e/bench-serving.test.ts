import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { bench, figuresIn } from "../support/bench.js";
import { isLong } from "../support/long.js";
import { TempDir } from "../support/temp-dir.js";

const sentences = [
  "Good morning.",
  "How are you today?",
  "The boat is in the harbour.",
  "We wait for a letter from the station.",
];

type Cell = string | { readonly values: readonly number[] };

interface Figures {
  readonly outputs: string;
  readonly machineRecord: { readonly commit: string };
  readonly tables: readonly {
    readonly columns: readonly string[];
    readonly rows: readonly (readonly Cell[])[];
  }[];
  readonly latencies: readonly {
    readonly count: number;
    readonly histogram: readonly { readonly count: number }[];
  }[];
}

/** With one pipeline, one round and outputs of a few tokens. */
async function run(name: string, ...args: string[]) {
  await using dir = await TempDir.make();
  await writeFile(dir.file("data_100.txt"), sentences.join("\n"));
  const tiny = ["--layouts", "1", "--rounds", "1", "--max-length", "6"];
  const from =
    name === "datafile" ? ["--data", dir.path] : ["--sentences", dir.file("data_100.txt")];
  const files = ["--json", dir.file("figures.json"), "--plot", dir.file("plots")];
  const out = await bench(name, ...tiny, ...from, ...args, ...files);
  const figures = JSON.parse(await readFile(dir.file("figures.json"), "utf8")) as Figures;
  assert.match(figures.outputs, /^[0-9a-f]{12}$/, out);
  assert.match(out, new RegExp(`^outputs: 4 different sentences, .*${figures.outputs}$`, "m"));
  assert.match(figures.machineRecord.commit, /^[0-9a-f]{7}/);
  const numbers = figures.tables.flatMap(({ rows }) =>
    rows.flat().flatMap((cell) => (typeof cell === "string" ? [] : cell.values)),
  );
  assert.ok(numbers.length > 0 && numbers.every((value) => value >= 0), out);
  return { out, figures, plots: await readdir(dir.file("plots")) };
}

/** The first cells of each row: what was measured. */
function rowsOf({ tables }: Figures, cells: number): readonly string[] {
  const texts = (row: readonly Cell[]) => row.filter((cell) => typeof cell === "string");
  return tables.flatMap(({ rows }) => rows.map((row) => texts(row).slice(0, cells).join(" / ")));
}

test("the experiment with realtime callers runs, and says of each number of callers what it took", async () => {
  const { figures, plots } = await run("real", "--callers", "1,3", "--items", "2");
  assert.deepEqual(rowsOf(figures, 2), ["1 / 1 shared", "3 / 1 shared"]);
  assert.deepEqual(
    figures.latencies.map(({ count, histogram }) => [
      count,
      histogram.reduce((sum, bucket) => sum + bucket.count, 0),
    ]),
    [
      [1, 1],
      [3, 3],
    ],
  );
  assert.deepEqual(plots.sort(), ["real-p99.svg", "real-total.svg"]);
});

if (isLong) {
  test("the mixed experiment runs, and holds shared pipelines against its targets", async () => {
    const size = ["--bulk-items", "300,12", "--scale", "0.1", "--callers", "2", "--after", "1"];
    const { out, figures, plots } = await run("mix", ...size, "--layouts", "1,1+1");
    assert.deepEqual(rowsOf(figures, 2), [
      "2 / 1 shared",
      "2 / 1 realtime + 1 bulk",
      "2 / 1 shared",
      "2 / 1 realtime + 1 bulk",
    ]);
    const expected = [
      "1 shared, 2 callers: realtime p99 / its p99 with no bulk #",
      "1 shared, 2 callers: bulk and realtime tokens/s / bulk alone #",
    ];
    const printed = figuresIn(out);
    assert.deepEqual(
      expected.filter((line) => !printed.includes(line)),
      [],
      out,
    );
    assert.deepEqual(plots.sort(), ["mix-12-p99.svg", "mix-300-p99.svg"]);
  });

  test("the experiment with a data file runs, with the seeds' figures beside ours", async () => {
    const { out, figures, plots } = await run("datafile", "--scale", "0.02", "--files", "data_2k");
    assert.deepEqual(rowsOf(figures, 3), [
      "data_2k / 64 / 1",
      "data_2k / 128 / 1",
      "data_2k / 128 / 2",
    ]);
    assert.match(out, /^data_2k is not there: 40 lines of data_100 are taken, again and again$/m);
    assert.match(out, /\| +124128 \| +62\.1 \| +108162 \| +54\.1 \|$/m);
    assert.deepEqual(plots, ["datafile.svg"]);
  });

  test("the experiment with stages runs: token ids give what text gives, and each stage has its time", async () => {
    const { out, figures } = await run("stages", "--count", "8", "--batch", "4");
    assert.deepEqual(rowsOf(figures, 1), ["text", "token ids"]);
    const printed = figuresIn(out);
    const expected = [
      "encoder's runs # ms of a pipeline a sentence",
      "decoder's runs # ms of a pipeline a sentence",
      "one encodes, one decodes / both do both #",
    ];
    assert.deepEqual(
      expected.filter((line) => !printed.includes(line)),
      [],
      out,
    );
  });
}
