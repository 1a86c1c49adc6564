/** Damaged PyTorch files: every tensor is read, or a MillraceError says why not; whatever else happens is a defect. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { Random } from "../sim/random.js";
import { damaged } from "../support/damage.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";
import { floatBytes, legacyTorchBytes, torchBytes, torchViews } from "../support/torch-bytes.js";
import { openTorchBytes } from "../support/torch-files.js";

const data = torchViews({
  w: { elements: 6, shape: [2, 3], strides: [3, 1] },
  v: { key: "1", elements: 4, offset: 1, shape: [2], strides: [2] },
});
const storages = { 0: floatBytes([1, 2, 3, 4, 5, 6]), 1: floatBytes([7, 8, 9, 10]) };

/** Also says how many were refused: a test of damage that does none would find nothing. */
async function readDamaged(count: number, make: (seed: number) => Buffer): Promise<number> {
  await using dir = await TempDir.make();
  let refused = 0;
  for (let seed = 1; seed <= count; seed += 1) {
    try {
      await using weights = await openTorchBytes(dir, make(seed));
      for (const name of weights.tensors.keys()) await weights.read(name);
    } catch (error) {
      assert.ok(error instanceof MillraceError, `seed ${seed}: ${String(error)}`);
      refused += 1;
    }
  }
  return refused;
}

/** The pickle's checksum would find every change of it; zero says that there is none. */
function withoutChecksum(zip: Buffer): Buffer {
  const bytes = Buffer.from(zip);
  bytes.writeUInt32LE(0, zip.indexOf("PK\x01\x02") + 16);
  return bytes;
}

test("any damage to a small zip is harmless or a MillraceError", async () => {
  const whole = withoutChecksum(torchBytes(data, storages));
  const refused = await readDamaged(200, (seed) => damaged(whole, new Random(seed)));
  assert.ok(refused > 100 && refused < 200, `${refused} were refused`);
});

test("any damage to a small file of before PyTorch 1.6 is harmless or a MillraceError", async () => {
  const whole = legacyTorchBytes(data, storages);
  const refused = await readDamaged(120, (seed) => damaged(whole, new Random(seed)));
  assert.ok(refused > 50 && refused < 120, `${refused} were refused`);
});

test("any damage to a real file is harmless or a MillraceError", {
  skip: skipWithout("models", "reference", "bert-st-cls-bin"),
}, async () => {
  const path = sharedPath("models", "reference", "bert-st-cls-bin", "pytorch_model.bin");
  const whole = withoutChecksum(await readFile(path));
  // In the pickle, or in the directory: among the floats it would only be another float.
  const pickle = whole.indexOf("data.pkl");
  const places = [
    { from: pickle, to: pickle + 4_000 },
    { from: whole.indexOf("PK\x01\x02"), to: whole.length },
  ];
  const refused = await readDamaged(24, (seed) =>
    damaged(whole, new Random(seed), places[seed % 2]),
  );
  assert.ok(refused > 10, `${refused} were refused`);
});
