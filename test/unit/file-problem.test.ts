import assert from "node:assert/strict";
import { test } from "node:test";
import { readKeyFile } from "#src/access/key-file.js";
import { readSavedWindow } from "#src/cli/doctor/saved.js";
import { migrateFile } from "#src/cli/migrate-file.js";
import { readConfigurationFile } from "#src/options/config-file.js";
import { readRecording } from "#src/record/recording-file.js";
import { TempDir } from "../support/temp-dir.js";

const readers: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  "a configuration": async (path) => {
    const read = readConfigurationFile(path);
    if ("problem" in read) throw new Error(read.problem);
  },
  "a configuration to migrate": (path) => migrateFile(path, true),
  "a file of keys": readKeyFile,
  "a window of the doctor": (path) => readSavedWindow(path, new AbortController().signal),
  "a recording": readRecording,
};

for (const [what, read] of Object.entries(readers)) {
  test(`defect: ${what} that is not there, or is a folder, was told in the system's words`, async () => {
    await using dir = await TempDir.make();
    const none = dir.file("none.json");
    await assert.rejects(read(none), ({ message }: Error) =>
      message.endsWith(`${none}: there is no such file (ENOENT)`),
    );
    await assert.rejects(read(dir.path), ({ message }: Error) =>
      /: it is (a folder \(EISDIR\)|no file)$/.test(message),
    );
  });
}
