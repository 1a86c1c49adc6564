import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { layoutsToTry, readFixed, rowsToTry } from "../../bench/defaults/fixed.js";
import { openLoop } from "../../bench/harness/open-loop.js";
import { bench, figuresIn } from "../support/bench.js";
import { isLong, longTest } from "../support/long.js";
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
  readonly machine: { readonly commit: string };
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
  const tiny = ["--layouts", "1", "--warm", "0", "--rounds", "1", "--max-length", "6"];
  const from =
    name === "datafile" ? ["--data", dir.path] : ["--sentences", dir.file("data_100.txt")];
  const files = ["--json", dir.file("figures.json"), "--plot", dir.file("plots")];
  const out = await bench(name, ...tiny, ...from, ...args, ...files);
  const figures = JSON.parse(await readFile(dir.file("figures.json"), "utf8")) as Figures;
  assert.match(figures.outputs, /^[0-9a-f]{12}$/, out);
  assert.match(out, new RegExp(`^outputs: 4 different sentences, .*${figures.outputs}$`, "m"));
  assert.match(figures.machine.commit, /^[0-9a-f]{7}/);
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

test("a fixed configuration is read as it is written, and the search tries each once", () => {
  assert.deepEqual(readFixed("2x1:rows=128:prefetch=64").flags, {
    pipelines: 2,
    threads: 1,
    "rows-max": 128,
    "prefetch-rows": 64,
  });
  assert.deepEqual(readFixed("1+2x3").flags, {
    "realtime-pipelines": 1,
    "bulk-pipelines": 2,
    threads: 3,
  });
  for (const wrong of ["", "2", "2x", "2x1:rows", "2x1:rows=-1", "2x1:beams=3", "x1"])
    assert.throws(() => readFixed(wrong), /is no /, wrong);
  assert.deepEqual(layoutsToTry(2), ["1x2", "2x1", "3x1", "2x2", "1+1x1"]);
  for (const cores of [1, 6, 64]) {
    const all = layoutsToTry(cores).flatMap((layout) => [layout, ...rowsToTry(layout)]);
    assert.equal(new Set(all.map((name) => readFixed(name).name)).size, all.length);
  }
});

test("an open loop waits for no answer: all that is due arrives before anything is answered", async () => {
  const due = 6;
  const waiting: (() => void)[] = [];
  await using server = await answeringServer((body, answer) => {
    waiting.push(() => answer(200, body));
    // Whoever waited for an answer before he sends the next would wait for ever.
    if (waiting.length === due) for (const each of waiting) each();
  });
  const arrivals = Array.from({ length: due }, (_, at) => ({ dueMs: at, body: `{"at":${at}}` }));
  const { answers } = await openLoop({ ...server.ask, arrivals, connections: 2, replies: true });
  assert.deepEqual(
    answers.map(({ reply }) => reply),
    arrivals.map(({ body }) => body),
  );
  for (const { ms, lateMs } of answers) assert.ok(ms >= lateMs);
});

test("an open loop leaves nothing out: a refusal, or an input that failed, fails the whole of it", async () => {
  await using server = await answeringServer((body, answer) => {
    if (body.includes("refuse")) answer(429, "no");
    else answer(200, body);
  });
  const ask = async (...bodies: readonly string[]) => {
    const arrivals = bodies.map((body) => ({ dueMs: 0, body }));
    return await openLoop({ ...server.ask, arrivals, connections: 0, replies: false });
  };
  assert.equal((await ask("{}", "{}")).answers[1]?.reply, null);
  await assert.rejects(ask("{}", `"refuse"`), /429: no/);
  await assert.rejects(ask(`{"results":[{"error":{}}]}`), /200: /);
});

/** Answers what is posted to it, and every other request with nothing. */
async function answeringServer(
  onBody: (body: string, answer: (status: number, reply: string) => void) => void,
) {
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        if (request.method !== "POST") return response.end();
        return onBody(body, (status, reply) => response.writeHead(status).end(reply));
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ask: { url: `http://127.0.0.1:${port}`, path: "/" },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

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

longTest(
  "the default configuration is held against the best that a search finds, with the same outputs",
  {},
  async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.file("lines.txt"), sentences.join("\n"));
    const tiny = ["--max-length", "6", "--warm", "0", "--rounds", "1", "--rate", "40"];
    const short = ["--try", "0.2", "--seconds", "0.2", "--bulk-items", "1000"];
    const files = ["--json", dir.file("figures.json"), "--plot", dir.file("plots")];
    const lines = ["--sentences", dir.file("lines.txt"), "--layouts", "1x1", "--best-of", "1"];
    const out = await bench("defaults", ...tiny, ...short, ...lines, ...files);
    assert.match(out, /^default: \dx\d, (by its trial|without a trial): /m);
    const figures = JSON.parse(await readFile(dir.file("figures.json"), "utf8")) as Figures;
    const rows = rowsOf(figures, 1);
    assert.deepEqual(rows.slice(0, 3), ["default", "1x1", "1x1:rows=32"]);
    const [own, ...best] = rows.slice(rows.lastIndexOf("default"));
    assert.equal(own, "default");
    // Each was tried in the search.
    const searched = rows.slice(0, rows.lastIndexOf("default"));
    assert.ok(best.length > 0 && best.every((name) => searched.includes(name)), out);
    const held = ["bulk sentences/s: the default / the most (", "p99 beside bulk / the least ("];
    for (const title of held)
      assert.ok(
        figuresIn(out).some((line) => line.startsWith(title)),
        out,
      );
    const hashes = new Set([...out.matchAll(/ by \S+: ([0-9a-f]{12})$/gm)].map(([, hash]) => hash));
    assert.deepEqual([...hashes], [figures.outputs], out);
    assert.deepEqual((await readdir(dir.file("plots"))).sort(), [
      "defaults-bulk.svg",
      "defaults-p99.svg",
    ]);
  },
);
