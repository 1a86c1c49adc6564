/** The exchange of an old model folder for a new one, with renames that fail and processes that die. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { checkTarget, type FolderCalls, OutputFolder, tidyUp } from "#src/convert/output-folder.js";
import { TempDir } from "../support/temp-dir.js";

const remove: FolderCalls["remove"] = (dir) => rm(dir, { recursive: true, force: true });

async function writeModel(dir: string, says: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(`${dir}/millrace.json`, says);
}

async function says(dir: string): Promise<string> {
  return await readFile(`${dir}/millrace.json`, "utf8");
}

/** Renames whose n-th call fails, for each n in `failing`. */
function failingRenames(failing: readonly number[]): FolderCalls {
  let calls = 0;
  return {
    remove,
    rename: async (from, to) => {
      calls += 1;
      if (failing.includes(calls)) throw new Error(`rename ${calls} failed`);
      await rename(from, to);
    },
  };
}

for (const failing of [1, 2]) {
  test(`defect 19: rename ${failing} of --force fails, and neither folder is lost`, async () => {
    await using dir = await TempDir.make();
    const target = dir.file("out");
    await writeModel(target, "old");
    const folder = await OutputFolder.begin(target, failingRenames([failing]));
    await writeModel(folder.dir, "new");
    await assert.rejects(folder.publish(true), {
      code: "output_failed",
      message: new RegExp(`rename ${failing} failed; the new one is whole and lies in .*new-`),
    });
    await folder[Symbol.asyncDispose]();
    assert.equal(await says(target), "old");
    assert.equal(await says(folder.dir), "new");
  });
}

test("defect 19: even where the way back fails the error says where both lie", async () => {
  await using dir = await TempDir.make();
  const target = dir.file("out");
  await writeModel(target, "old");
  const folder = await OutputFolder.begin(target, failingRenames([2, 3]));
  await writeModel(folder.dir, "new");
  await assert.rejects(folder.publish(true), {
    message: /new one .* lies in .*; the old one lies in /,
  });
  await folder[Symbol.asyncDispose]();
  const found = await Promise.all((await readdir(dir.path)).map((name) => says(dir.file(name))));
  assert.deepEqual(found.toSorted(), ["new", "old"]);
});

test("defect 19: an old folder is there until the new one is, and gone afterwards", async () => {
  await using dir = await TempDir.make();
  const target = dir.file("out");
  await writeModel(target, "old");
  {
    await using folder = await OutputFolder.begin(target);
    await writeModel(folder.dir, "new");
    await folder.publish(true);
  }
  assert.equal(await says(target), "new");
  assert.deepEqual(await readdir(dir.path), ["out"]);
});

test("defect 19: what a conversion that died left is put in order by the next one", async () => {
  await using dir = await TempDir.make();
  const target = dir.file("out");
  // A process that has ended: nobody has its number now.
  const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
  const hidden = (kind: string, pid: number) => dir.file(`.out.${kind}-${pid}-0123abcd`);
  await writeModel(hidden("old", dead), "old");
  await writeModel(hidden("new", dead), "half");
  await writeModel(hidden("new", process.pid), "at work");
  await writeModel(dir.file(`.other.new-${dead}-0123abcd`), "another's");
  await tidyUp(target);
  assert.equal(await says(target), "old", "the old folder has its name again");
  await writeModel(hidden("old", dead), "older");
  await tidyUp(target);
  assert.equal(await says(target), "old");
  assert.deepEqual((await readdir(dir.path)).toSorted(), [
    `.other.new-${dead}-0123abcd`,
    `.out.new-${process.pid}-0123abcd`,
    "out",
  ]);
});

test("nothing is left of what was not published, the folders above it included", async () => {
  await using dir = await TempDir.make();
  {
    await using folder = await OutputFolder.begin(dir.file("a", "b", "out"));
    await writeModel(folder.dir, "half");
  }
  assert.deepEqual(await readdir(dir.path), []);
  {
    await using folder = await OutputFolder.begin(dir.file("a", "b", "out"));
    await writeModel(folder.dir, "half");
    await writeFile(dir.file("a", "diary.txt"), "dear diary");
  }
  assert.deepEqual(await readdir(dir.file("a")), ["diary.txt"]);
});

test("a target that is a file, or somebody's folder, is not replaced", async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.file("file"), "");
  await mkdir(dir.file("folder"));
  for (const name of ["file", "folder"]) {
    for (const force of [false, true]) {
      await assert.rejects(checkTarget(dir.file(name), force), { code: "output_exists" });
    }
  }
  await checkTarget(dir.file("nothing"), false);
});
