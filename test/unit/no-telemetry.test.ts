/** What the runtime would tell its maker stays here. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { TempDir } from "../support/temp-dir.js";

/** What a process wrote in its own folder for what is passing, and in its home. */
async function leftBy(env: NodeJS.ProcessEnv): Promise<string[]> {
  await using temp = await TempDir.make();
  const session = JSON.stringify(import.meta.resolve("#src/runtime/session.js"));
  const script = `await (await import(${session})).startRuntime();`;
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", script],
    {
      encoding: "utf8",
      // Nothing else of ours: where it finds that it is in CI it keeps silent as well, and the test would show nothing.
      env: { PATH: process.env["PATH"], TMPDIR: temp.path, HOME: temp.path, ...env },
    },
  );
  assert.equal(status, 0, stderr);
  return readdirSync(temp.path);
}

test("defect: a process with the runtime collects nothing for its maker", async () => {
  assert.deepEqual(await leftBy({}), []);
});
