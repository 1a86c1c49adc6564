/** The lock of a folder in the forms of other systems; its own form is in test/faults/job-store.test.ts. */
import assert from "node:assert/strict";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { test } from "node:test";
import { FolderLock } from "#src/jobs/lmdb/folder-lock.js";
import { platform } from "#src/platform/platform.js";
import { TempDir } from "../support/temp-dir.js";

const inUse = { code: "data_in_use", message: new RegExp(`process ${process.pid} on `) };

test("where sockets are no files, who can listen under the folder's name has it, however it is spelled", {
  skip: platform.name !== "linux" && "Linux' names without files stand for Windows' pipes",
}, async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("jobs"));
  await symlink(dir.file("jobs"), dir.file("link"));
  await mkdir(dir.file("other"));
  const way = {
    hasSocketFiles: false,
    openFolderPath: () => null,
    socketName: (key: string) => `\0millrace-test-${key}`,
  };
  const lock = await FolderLock.take(dir.file("jobs"), way);
  await assert.rejects(FolderLock.take(dir.file("jobs"), way), inUse);
  await assert.rejects(FolderLock.take(dir.file("link"), way), inUse);
  await using _ = await FolderLock.take(dir.file("other"), way);
  await lock[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(dir.file("jobs")), []);
  await using __ = await FolderLock.take(dir.file("jobs"), way);
  await assert.rejects(FolderLock.take(dir.file("nowhere"), way), { code: "data_invalid" });
});

test("defect: a folder with a long name is locked on systems without a short one for what is open", async () => {
  await using dir = await TempDir.make();
  const long = dir.file("a".repeat(60), "b".repeat(60));
  await mkdir(long, { recursive: true });
  const way = { hasSocketFiles: true, openFolderPath: () => null };
  const lock = await FolderLock.take(long, way);
  await assert.rejects(FolderLock.take(long, way), inUse);
  await lock[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(long), []);
});
