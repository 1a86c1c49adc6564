import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { openWeights } from "#src/convert/reading/weights.js";
import { float32Tensor, safetensorsOf } from "../support/safetensors-bytes.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const indexName = "model.safetensors.index.json";
const names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
const shards = [
  safetensorsOf({ a: float32Tensor([2], [1, 2]), b: float32Tensor([1], [3]) }),
  safetensorsOf({ c: float32Tensor([1, 2], [4, 5]) }),
] as const;
const weightMap: Readonly<Record<string, string>> = { a: names[0], b: names[0], c: names[1] };

async function writeShards(dir: TempDir, index: unknown): Promise<void> {
  for (const [at, name] of names.entries()) await writeFile(dir.file(name), shards[at] ?? "");
  await writeFile(dir.file(indexName), JSON.stringify(index));
}

test("shards are read as one, and hashed one behind the other", async () => {
  await using dir = await TempDir.make();
  await writeShards(dir, { metadata: { total_size: 20 }, weight_map: weightMap });
  await using weights = await openWeights(dir.path);
  assert.equal(weights.fileName, indexName);
  assert.deepEqual([...weights.tensors.keys()], ["a", "b", "c"]);
  assert.deepEqual([...(await weights.read("c"))], [4, 5]);
  assert.deepEqual([...(await weights.read("a"))], [1, 2]);
  assert.equal(weights.byteLength, shards[0].byteLength + shards[1].byteLength);
  const progress: number[] = [];
  const expected = createHash("sha256").update(shards[0]).update(shards[1]).digest("hex");
  assert.equal(await weights.sha256((doneBytes) => progress.push(doneBytes)), expected);
  assert.equal(progress.at(-1), weights.byteLength);
  await assert.rejects(weights.read("d"), { code: "tensor_missing", message: /tensor d is not/ });
});

test("one file goes before an index, as in transformers", async () => {
  await using dir = await TempDir.make();
  await writeShards(dir, { weight_map: weightMap });
  await writeFile(dir.file("model.safetensors"), shards[1]);
  await using weights = await openWeights(dir.path);
  assert.deepEqual([...weights.tensors.keys()], ["c"]);
});

test("a folder without weights says what was looked for", async () => {
  await using dir = await TempDir.make();
  const expected = { code: "model_folder_invalid", message: /model\.safetensors\.index\.json/ };
  await assert.rejects(openWeights(dir.path), expected);
});

const lies: readonly [what: string, index: unknown, says: RegExp][] = [
  ["no weight_map", {}, /weight_map/],
  ["a list", [], /index\.json/],
  ["an empty weight_map", { weight_map: {} }, /names no tensor/],
  ["a number for a shard", { weight_map: { a: 1 } }, /weight_map\.a/],
  [
    "a tensor that is not in its shard",
    { weight_map: { ...weightMap, a: names[1] } },
    /tensor a is not in model-00002/,
  ],
  [
    "a tensor that no shard has",
    { weight_map: { ...weightMap, d: names[1] } },
    /tensor d is not in model-00002/,
  ],
  [
    "a tensor that it does not name",
    { weight_map: { a: names[0], c: names[1] } },
    /tensor b is in model-00001.*does not name/,
  ],
  [
    "a shard that is missing",
    { weight_map: { ...weightMap, d: "model-3.safetensors" } },
    /model-3\.safetensors is missing/,
  ],
  ["a path out of the folder", { weight_map: { a: "../a.safetensors" } }, /not the name of a file/],
  ["an absolute path", { weight_map: { a: "/etc/passwd" } }, /not the name of a file/],
  ["a path with backslashes", { weight_map: { a: "..\\a.safetensors" } }, /not the name of a file/],
  ["the folder itself", { weight_map: { a: "." } }, /not the name of a file/],
  ["no name", { weight_map: { a: "" } }, /not the name of a file/],
  ["a name with a zero", { weight_map: { a: "a\0b" } }, /not the name of a file/],
  [
    "an absurd total",
    { metadata: { total_size: 1e15 }, weight_map: weightMap },
    /total_size is 1000000000000000/,
  ],
  ["a total of nothing", { metadata: { total_size: 0 }, weight_map: weightMap }, /total_size is 0/],
  [
    "a total that is no number",
    { metadata: { total_size: "20" }, weight_map: weightMap },
    /metadata\.total_size/,
  ],
  [
    "too many shards",
    {
      weight_map: Object.fromEntries(Array.from({ length: 1001 }, (_, at) => [`t${at}`, `s${at}`])),
    },
    /1001 shards/,
  ],
];

for (const [what, index, says] of lies) {
  test(`refuses an index with ${what}`, async () => {
    await using dir = await TempDir.make();
    await writeShards(dir, index);
    await assert.rejects(openWeights(dir.path), { code: "model_folder_invalid", message: says });
  });
}

test("refuses a tensor that two shards have", async () => {
  await using dir = await TempDir.make();
  await writeShards(dir, { weight_map: weightMap });
  const both = safetensorsOf({ a: float32Tensor([1], [9]), c: float32Tensor([1], [9]) });
  await writeFile(dir.file(names[1]), both);
  const expected = {
    code: "model_folder_invalid",
    message: /tensor a is in model-00002.* and in model-00001/,
  };
  await assert.rejects(openWeights(dir.path), expected);
});

test("a shard that is cut is named", async () => {
  await using dir = await TempDir.make();
  await writeShards(dir, { weight_map: weightMap });
  for (const length of [0, 7, 8, 60, shards[1].byteLength - 1]) {
    await writeFile(dir.file(names[1]), shards[1]);
    await truncate(dir.file(names[1]), length);
    const expected = { code: "weights_invalid", message: /model-00002-of-00002\.safetensors: / };
    await assert.rejects(openWeights(dir.path), expected);
  }
});

test("the sharded reference folder has what its index says", {
  skip: skipWithout("models", "reference", "xlmr-st-cls-sharded"),
}, async () => {
  const dir = sharedPath("models", "reference", "xlmr-st-cls-sharded");
  const index = JSON.parse(await readFile(`${dir}/${indexName}`, "utf8")) as {
    readonly metadata: { readonly total_size: number };
    readonly weight_map: Readonly<Record<string, string>>;
  };
  await using weights = await openWeights(dir);
  assert.deepEqual(new Set(weights.tensors.keys()), new Set(Object.keys(index.weight_map)));
  let bytes = 0;
  for (const { name, byteLength } of weights.tensors.values()) {
    bytes += byteLength;
    assert.equal((await weights.read(name)).byteLength, byteLength);
  }
  assert.equal(bytes, index.metadata.total_size);
});
