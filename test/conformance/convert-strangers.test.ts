/** `convert` and files that strangers made: refused before any work, or whole; and never half. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { MillraceError } from "millrace-client/wire";
import { convert } from "#src/convert/convert.js";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { readManifest } from "#src/models/read-manifest.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { taskOf } from "#src/tasks/table.js";
import { convertQuietly, shippedSentences } from "../support/converted.js";
import {
  type MarianFolderOptions,
  writeMarianFolder,
  writeTargetTokenizer,
} from "../support/marian-folder.js";
import { TempDir } from "../support/temp-dir.js";

const main = fileURLToPath(import.meta.resolve("#src/cli/main.js"));

interface Expected {
  readonly code: string;
  readonly message: RegExp;
}

async function assertRefused(
  dir: TempDir,
  expected: Expected,
  options: Partial<Parameters<typeof convertQuietly>[0]> = {},
): Promise<void> {
  const seen = (await readdir(dir.path)).toSorted();
  const target = { modelDir: dir.file("in"), outDir: dir.file("out"), ...options };
  await assert.rejects(convertQuietly(target), expected);
  assert.deepEqual((await readdir(dir.path)).toSorted(), seen, "something was left");
}

const fc1 = "model.encoder.layers.1.fc1.weight";

/** Sets one value of one tensor. */
function spoil(tensor: string, value: number): MarianFolderOptions {
  return {
    change: (name, values) => {
      if (name === tensor) values[7] = value;
    },
  };
}

for (const value of [Number.NaN, Infinity, -Infinity]) {
  for (const precision of ["f32", "int8"] as const) {
    test(`defect 13: a weight of ${value} is refused in ${precision}, and named`, async () => {
      await using dir = await TempDir.make();
      await writeMarianFolder(dir.file("in"), spoil(fc1, value));
      const message =
        /model\.encoder\.layers\.1\.fc1\.weight has the value (NaN|-?Infinity) at place 7/;
      await assertRefused(dir, { code: "weights_invalid", message }, { precision });
    });
  }
}

test("defect 13: an infinity in half a float's bytes is refused as well", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"), { ...spoil(fc1, Infinity), dtype: "BF16" });
  await assertRefused(dir, { code: "weights_invalid", message: /fc1\.weight has the value Inf/ });
});

test("defect 13: a word's value that a float16 table cannot hold is refused in int8 only", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"), spoil("model.shared.weight", 70_000));
  const message = /tensor model\.shared\.weight has the value 70000, over 65504.*--precision f32/;
  await assertRefused(dir, { code: "weights_invalid", message }, { precision: "int8" });
  await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
});

test("defect 13: weights that overflow float32 on the calibration are refused, and the product named", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"), {
    config: { activation_function: "relu" },
    change: (name, values) => {
      if (name === fc1) values.fill(3e38);
    },
  });
  const message = /product encoder\.1\.fc2 is no finite number/;
  await assertRefused(dir, { code: "weights_invalid", message }, { precision: "int8" });
});

for (const [name, outDir, message] of [
  [undefined, "en de", /"en de".*letters, digits.*--name/],
  [undefined, "日本", /letters, digits/],
  ["a/b", "out", /"a\/b".*letters, digits/],
  ["", "out", /""/],
  ["x".repeat(101), "out", /1 to 100/],
] as const) {
  test(`defect 20: the name ${JSON.stringify(name ?? outDir).slice(0, 20)} is refused before any work`, async () => {
    await using dir = await TempDir.make();
    // There is nothing to read: the name comes first.
    await assertRefused(
      dir,
      { code: "option_invalid", message },
      { outDir: dir.file(outDir), ...(name === undefined ? {} : { name }) },
    );
  });
}

test("defect 20: a folder of any name takes a model with a good --name", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("en de"), name: "en-de" });
  assert.equal((await readManifest(dir.file("en de"))).name, "en-de");
});

const untied = { share_encoder_decoder_embeddings: false, decoder_vocab_size: 700 };

async function manifestOf(dir: string): Promise<GenerationManifest> {
  const manifest = await readManifest(dir);
  assert.equal(manifest.engine, "generation");
  return manifest;
}

test("defect 21: two vocabularies are stored with both sizes and both tokenizers", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"), { config: untied });
  await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
  const manifest = await manifestOf(dir.file("out"));
  assert.equal(manifest.shape.sourceVocabulary, 6000);
  assert.equal(manifest.shape.targetVocabulary, 700);
  assert.equal(manifest.files.targetTokenizer, "target_tokenizer.json");
  assert.ok(Object.hasOwn(manifest.fileSha256, "target_tokenizer.json"));
  const tokenizer = await TextTokenizer.open({
    path: dir.file("out", "tokenizer.json"),
    targetPath: dir.file("out", "target_tokenizer.json"),
    unknownTokenId: manifest.generation.unknownTokenId,
  });
  // An id of the source's alone goes in; the target's pieces come out.
  assert.ok(tokenizer.encode("Good morning.").some((id) => id >= 700));
  const folder = { dir: dir.file("out"), manifest };
  const task = await taskOf(manifest).open(folder, { inputCharactersMax: 100, imagePixelsMax: 1 });
  const lastStep = (ids: readonly number[]) =>
    [...task.steps(ids, { index: 0, settings: task.complete({}) })].at(-1)?.kind;
  assert.equal(lastStep([5999, 0]), "end");
  assert.equal(lastStep([6000, 0]), "error", "the source's vocabulary bounds the inputs");
  assert.equal(tokenizer.decode([5999]), "", "an id that the target lacks is no piece");
  assert.notEqual(tokenizer.decode([434]), "");
});

test("defect 21: two vocabularies with one tokenizer are refused", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"), {
    config: { share_encoder_decoder_embeddings: false },
  });
  await writeFile(dir.file("in", "tokenizer_config.json"), '{"separate_vocabs":true}');
  const message = /target_tokenizer\.json is missing/;
  await assertRefused(dir, { code: "model_folder_invalid", message });
  await writeTargetTokenizer(dir.file("in"), 6000);
  await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("out") });
  assert.ok((await manifestOf(dir.file("out"))).files.targetTokenizer !== undefined);
});

test("defect 21: a tokenizer with ids that the model lacks is refused", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"), { config: { vocab_size: 5000 } });
  const message = /tokenizer\.json has the id 5999, but the model's vocabulary has 5000/;
  await assertRefused(dir, { code: "model_folder_invalid", message });
});

test("what can be checked is checked before the first byte is written", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  await writeFile(dir.file("in", "tokenizer_config.json"), '{"source_lang":1}');
  let steps = 0;
  const options = {
    modelDir: dir.file("in"),
    outDir: dir.file("out"),
    precision: "int8",
    calibrationFile: shippedSentences,
    force: false,
    onProgress: () => {
      steps += 1;
    },
    signal: new AbortController().signal,
  } as const;
  await assert.rejects(convert(options), { code: "model_folder_invalid" });
  await writeFile(dir.file("in", "tokenizer_config.json"), "{}");
  await assert.rejects(convert({ ...options, calibrationFile: dir.path }), {
    code: "option_invalid",
    message: /is not a file/,
  });
  assert.equal(steps, 0);
});

const configs: readonly [what: string, config: object, expected: Expected][] = [
  [
    "a million positions",
    { max_position_embeddings: 1_000_000 },
    { code: "model_folder_invalid", message: /max_position_embeddings/ },
  ],
  [
    "an unknown token out of the vocabulary",
    { unk_token_id: 6000 },
    { code: "model_folder_invalid", message: /unk_token_id: 6000/ },
  ],
  [
    "bad words without end",
    { bad_words_ids: Array.from({ length: 10_001 }, () => [5]) },
    { code: "model_folder_invalid", message: /bad_words_ids/ },
  ],
  [
    "a length penalty without bounds",
    { length_penalty: 1e300 },
    { code: "model_folder_invalid", message: /length_penalty/ },
  ],
];

for (const [what, config, expected] of configs) {
  test(`refused: ${what}`, async () => {
    await using dir = await TempDir.make();
    await writeMarianFolder(dir.file("in"));
    const path = dir.file("in", "config.json");
    const good = JSON.parse(await readFile(path, "utf8")) as object;
    await writeFile(path, JSON.stringify({ ...good, ...config }));
    await assertRefused(dir, expected);
  });
}

test("a pipe instead of the weights is refused, and nobody waits for it", {
  skip: process.platform === "win32" ? "it has no named pipes" : false,
}, async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"), {});
  await mkdir(dir.file("pipe"));
  for (const name of ["config.json", "tokenizer.json"]) {
    await writeFile(dir.file("pipe", name), await readFile(dir.file("in", name)));
  }
  assert.equal(spawnSync("mkfifo", [dir.file("pipe", "model.safetensors")]).status, 0);
  const expected = { code: "model_folder_invalid", message: /model\.safetensors is not a file/ };
  await assertRefused(dir, expected, { modelDir: dir.file("pipe") });
});

test("a disk that is full ends it with a code, and nothing is left", {
  skip: process.platform === "win32" ? "it has no limit of a file's size" : false,
}, async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  // A file may have 64 blocks: the tensors of the first graph do not fit.
  const script = 'ulimit -f 64; exec "$@"';
  const command = [process.execPath, main, "convert", dir.file("in"), "--out", dir.file("out")];
  const child = spawn("sh", ["-c", script, "sh", ...command, "--precision", "f32"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.equal(code, 1, errors);
  assert.match(errors, /^output_failed: .*out could not be written: EFBIG/m);
  assert.deepEqual(await readdir(dir.path), ["in"]);
});

test("a file where the output's parent should be is told with a code", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  await writeFile(dir.file("file"), "");
  const expected = { code: "output_failed", message: /ENOTDIR/ };
  await assertRefused(dir, expected, { outDir: dir.file("file", "out") });
});

test("an error that is a bug is told as one, not as a full disk", async () => {
  await using dir = await TempDir.make();
  await writeMarianFolder(dir.file("in"));
  const bug = new TypeError("a bug");
  const onProgress = () => {
    throw bug;
  };
  const target = { modelDir: dir.file("in"), outDir: dir.file("out"), onProgress };
  await assert.rejects(convertQuietly(target), (error) => {
    assert.ok(!(error instanceof MillraceError));
    return error === bug;
  });
});
