import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { access, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { perToken } from "../../bench/engine/drivers.js";
import { marianShapes } from "../../bench/made-marian/shapes.js";
import { writeMarian } from "../../bench/made-marian/write-marian.js";
import { readSentences } from "../../bench/sentences.js";
import { bench, figuresIn } from "../support/bench.js";
import { shippedSentences } from "../support/converted.js";
import { longTest } from "../support/long.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { readGeneration } from "../support/read-generation.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";
import { tinyModels } from "../support/tiny-marian.js";

longTest(
  "the made model gives outputs of the imposed length that depend on the input, the same for the same seed",
  {},
  async () => {
    await using dir = await TempDir.make();
    const folder = dir.file("made");
    const shape = ["--shape", "tiny", "--seed", "3", "--precision", "int8"];
    const out = await bench(
      "make-model",
      ...shape,
      "--out",
      folder,
      "--source",
      dir.file("source"),
    );
    assert.match(out, /0\.7 M parameters, .*outputs of 6 tokens/);
    await writeMarian(dir.file("again"), marianShapes["tiny"] ?? assert.fail(), 3);
    const weights = (of: string) => readFile(dir.file(`${of}/model.safetensors`));
    assert.ok((await weights("source")).equals(await weights("again")));
    const manifest = await readGeneration(folder);
    const paths = { encoder: `${folder}/encoder.onnx`, decoder: `${folder}/decoder.onnx` };
    const model = await GenerationModel.load(paths, manifest, { threads: 1, spin: false });
    const sentences = readSentences(shippedSentences, `${folder}/tokenizer.json`, 12);
    const ids = sentences.map(({ tokenIds }) => tokenIds);
    for (const beams of [1, 3]) {
      const results = await perToken(64, beams)(model, ids);
      assert.deepEqual(
        results.map((tokens) => tokens.length),
        ids.map(() => 6),
      );
      assert.ok(new Set(results.map(String)).size > 6, String(results));
    }
    await model.release();
  },
);

/** A program by itself, as the driver is one. */
async function writeFakeDriver(dir: TempDir): Promise<string> {
  const script = fileURLToPath(new URL("../support/fake-ctranslate2.js", import.meta.url));
  const path = dir.file("driver");
  await writeFile(path, `#!/bin/sh\nexec "${process.execPath}" "${script}" "$@"\n`, {
    mode: 0o755,
  });
  return path;
}

interface CaseFigures {
  readonly rows: readonly object[];
  readonly settings: { readonly count: string };
  readonly models: readonly string[];
  readonly outputs: Readonly<Record<string, string>>;
}

const cases = ["one", "batch", "engines", "http-one", "pair", "http-64"];

longTest(
  "the comparison with CTranslate2 runs to its end, and engine, pipelines and HTTP give the same outputs",
  {},
  async () => {
    await using dir = await TempDir.make();
    const driver = await writeFakeDriver(dir);
    const models = ["--ct2-model-int8", dir.path, "--precisions", "int8"];
    const size = ["--sets", "short", "--short", shippedSentences, "--count", "8", "--rounds", "1"];
    const warm = ["--warm", "8"];
    const some = ["--cases", [...cases, "memory"].join(","), "--json", dir.file("out.json")];
    const out = await bench(
      "ctranslate2",
      "--driver",
      driver,
      ...models,
      ...size,
      ...warm,
      ...some,
    );
    const printed = figuresIn(out);
    for (const title of ["one at a time, 1 thread", "two pipelines : inter 2"]) {
      assert.ok(printed.includes(`int8 short, ${title}: Millrace # sentences/s`), out);
      assert.ok(printed.includes(`int8 short, ${title}: CTranslate2 # sentences/s`), out);
    }
    const hashes = [...out.matchAll(/: 8 sentences a turn, outputs ([0-9a-f]{12})$/gm)];
    // One at a time has fewer sentences, 64 callers more.
    assert.equal(hashes.length, cases.length - 2, out);
    assert.equal(new Set(hashes.map(([, hash]) => hash)).size, 1, out);
    assert.match(out, /64 callers, .*: 32 sentences a turn, outputs [0-9a-f]{12}$/m);
    if (process.platform === "linux") {
      assert.match(out, /64 callers, .*: processor of the pipelines [\d.]+ .*µs\/sentence$/m);
    }
    assert.match(out, /^\| two pipelines : inter 2 +\| +[\d.]+ /m);
    assert.match(out, /commit [0-9a-f]{7}/);
    const json = JSON.parse(await readFile(dir.file("out.json"), "utf8")) as CaseFigures;
    assert.ok(json.rows.length > 3 * cases.length);
    assert.equal(json.settings.count, "8");
    assert.match(json.models.join(), /int8, \d+\+\d+ layers/);
    assert.ok(Object.values(json.outputs).includes(hashes[0]?.[1] ?? ""), out);
  },
);

test("defect: a comparison that fails leaves no figures, which would look whole", async () => {
  await using dir = await TempDir.make();
  const driver = await writeFakeDriver(dir);
  const models = ["--ct2-model-int8", dir.path, "--precisions", "int8,none"];
  const size = ["--sets", "short", "--short", shippedSentences, "--count", "2", "--rounds", "1"];
  const some = ["--cases", "batch", "--json", dir.file("out.json")];
  await assert.rejects(bench("ctranslate2", "--driver", driver, ...models, ...size, ...some));
  await assert.rejects(access(dir.file("out.json")));
});

test("without a driver the comparison says how one is built", async () => {
  const out = await bench("ctranslate2", "--driver", "/nowhere/driver");
  assert.match(out, /left out, there is no \/nowhere\/driver\. .*build\.sh/);
});

const realDriver = process.env["CTRANSLATE2_DRIVER"];

// Nothing that Debian or npm offer has it: who has built it says where it is.
if (realDriver !== undefined) {
  test("CTranslate2 itself translates nearly all sentences as the reference does", async () => {
    const model = sharedPath("rivals", "ctranslate2", "model-float32");
    const some = ["--cases", "outputs", "--outputs", "50", "--precisions", "f32"];
    const of = ["--driver", realDriver, "--ct2-model-f32", model];
    const out = await bench("ctranslate2", ...of, ...some);
    assert.match(out, /greedy: outputs equal to the reference, of 50: Millrace +50/);
    assert.match(out, /greedy: outputs equal to the reference, of 50: CTranslate2 +(49|50)/);
  });
}

/** Debian's Python, which the comparison takes where nobody says another. */
const python = "/usr/bin/python3";
const torchIsThere = spawnSync(python, ["-c", "import numpy, torch"]).status === 0;
const withoutTorch = torchIsThere ? false : `${python} has no torch (python3-torch)`;

/** Prints whether a tiny model says the same in PyTorch as in Millrace: its sentences end when they end. */
async function besidePytorch(name: string, cases: string): Promise<string> {
  await using dir = await TempDir.make();
  const { config, ...rest } = tinyModels[name] ?? assert.fail(name);
  const model = { ...rest, config: { ...config, max_position_embeddings: 128 } };
  const source = await writeMarianFolder(dir.file("source"), model);
  const size = ["--sets", "short", "--short", shippedSentences, "--count", "12", "--batch", "5"];
  // A machine without a BLAS is no reason not to compare what is said.
  const how = ["--rounds", "1", "--any-blas", "--cases", cases];
  const out = await bench("pytorch", "--source", source, ...size, ...how);
  for (const search of ["greedy", "4 beams"]) {
    const equal = `f32 short, ${search}: equal to PyTorch's to the token, of 12`;
    assert.match(out, new RegExp(`^${equal} +12\\.0 `, "m"), out);
  }
  assert.match(out, /^torch \S+, 1 threads: \d+ GFlop\/s in its products$/m);
  return out;
}

longTest(
  "the comparison with PyTorch runs to its end, and PyTorch says the same to the token",
  {
    skip: withoutTorch,
  },
  async () => {
    const out = await besidePytorch("output table", "one,batch,outputs");
    const printed = figuresIn(out);
    for (const title of ["one at a time, 1 thread", "batch, 1 thread"]) {
      assert.ok(printed.includes(`f32 short, ${title}: Millrace # sentences/s`), out);
      assert.ok(printed.includes(`f32 short, ${title}: PyTorch # sentences/s`), out);
    }
    assert.match(out, /^f32 short, batch, 1 thread: 12 sentences a turn, .*, 12 of 12 equal /m);
    assert.match(out, /^\| batch, 1 thread +\| +[\d.]+ /m);
  },
);

longTest(
  "so it is with each kind of Marian, with two threads, and with two processes",
  { skip: withoutTorch },
  async () => {
    for (const name of Object.keys(tinyModels)) await besidePytorch(name, "outputs");
    const out = await besidePytorch("shared", "pair,processes-beams,outputs");
    assert.equal([...out.matchAll(/ sentences a turn, .*, 12 of 12 equal /g)].length, 2, out);
  },
);

test("without torch the comparison says what to install", async () => {
  await assert.rejects(bench("pytorch", "--python", "/nowhere/python3"), {
    code: 1,
    stderr: /\/nowhere\/python3 has no torch .*apt install python3-torch libopenblas0-openmp/s,
  });
});

longTest(
  "the seeds' way of decoding gives the outputs of Millrace's, greedy and with beams, and its profile is published",
  {},
  async () => {
    const shape = ["--shape", "tiny", "--sentences", shippedSentences];
    const size = ["--count", "6", "--batch", "4", "--rounds", "1", "--profile", "2"];
    const out = await bench("seeds-decoder", ...shape, ...size);
    const printed = figuresIn(out);
    for (const title of ["greedy", "3 beams"]) {
      assert.ok(printed.includes(`${title}: the seeds' way, float32 # ms/sentence`), out);
      assert.ok(printed.includes(`${title}: times as fast in int8 #`), out);
      const told = `^${title}: outputs [0-9a-f]{12} in float32, equal on both sides, .*; 6\\.0 tokens each$`;
      assert.match(out, new RegExp(told, "m"));
    }
    assert.match(out, /^profile of the seeds' way, 3 beams, 2 sentences: /m);
    assert.match(out, /^ {2}MatMul +\d+\.\d %/m);
  },
);

longTest(
  "the same with the default model, whose sentences end when they end",
  {
    skip: skipWithout("models", "en-zh"),
  },
  async () => {
    const source = sharedPath("models", "en-zh");
    const models = ["--source", source, "--int8", "models/en-zh", "--sentences", shippedSentences];
    const size = ["--count", "24", "--batch", "16", "--rounds", "1", "--profile", "0"];
    const out = await bench("seeds-decoder", ...models, ...size);
    assert.equal([...out.matchAll(/ in float32, equal on both sides, /g)].length, 2, out);
  },
);

longTest(
  "the seeds' experiments are finished by both, which say the same in float32",
  {},
  async () => {
    const of = ["--shape", "tiny", "--sentences", shippedSentences, "--batch", "2"];
    const size = ["--callers", "2", "--items", "2", "--bulk-items", "3", "--rounds", "1"];
    const out = await bench("seeds-experiments", ...of, ...size, "--beams", "1,3");
    const printed = figuresIn(out);
    for (const search of ["greedy", "3 beams"]) {
      for (const experiment of ["real, 2 × 2", "mix, 4 × 3, then 2 × 2"]) {
        const title = `${search}, ${experiment}`;
        assert.ok(printed.includes(`${title}: the seeds' way, float32 # s`), out);
        assert.ok(printed.includes(`${title}: Millrace int8 # s`), out);
        assert.ok(printed.includes(`${title}: times as fast in int8 #`), out);
      }
    }
    // Whoever says something else ends the run.
    assert.equal([...out.matchAll(/^outputs of 12 different sentences: /gm)].length, 2, out);
  },
);

longTest(
  "processes that nobody schedules take callers in their order, and give the outputs of the server",
  {},
  async () => {
    const size = [
      "--callers",
      "3",
      "--each",
      "2",
      "--processes",
      "2",
      "--rounds",
      "1",
      "--beams",
      "1",
    ];
    const out = await bench("seeds-processes", "--sentences", shippedSentences, ...size);
    const printed = figuresIn(out);
    for (const name of ["processes that nobody schedules # s", "Millrace # s", "times as fast #"]) {
      assert.ok(printed.includes(`3 callers: ${name}`), out);
    }
    assert.match(out, /^3 callers: outputs [0-9a-f]{12}$/m);
    const alone = "one engine, one thread, 3 callers: what packing brings #";
    assert.ok(printed.includes(alone), out);
  },
);
