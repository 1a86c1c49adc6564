/** Reads PyTorch files that tests made. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { MillraceError } from "millrace-client/wire";
import { openWeights, type Weights } from "#src/convert/reading/weights.js";
import { TempDir } from "./temp-dir.js";

export async function openTorchBytes(dir: TempDir, bytes: Uint8Array): Promise<Weights> {
  await writeFile(dir.file("pytorch_model.bin"), bytes);
  return await openWeights(dir.path);
}

/** The values of each tensor of a file. */
export async function readTorchBytes(bytes: Uint8Array): Promise<Record<string, number[]>> {
  await using dir = await TempDir.make();
  await using weights = await openTorchBytes(dir, bytes);
  const values: Record<string, number[]> = {};
  for (const name of weights.tensors.keys()) values[name] = [...(await weights.read(name))];
  return values;
}

/** With `weights_invalid`, the name of the file and what is wrong. */
export async function assertTorchRefused(bytes: Uint8Array, says: RegExp): Promise<void> {
  await using dir = await TempDir.make();
  await assert.rejects(openTorchBytes(dir, bytes), (error: unknown) => {
    assert.ok(error instanceof MillraceError, String(error));
    assert.equal(error.code, "weights_invalid");
    assert.match(error.message, /pytorch_model\.bin: /);
    assert.match(error.message, says);
    return true;
  });
}
