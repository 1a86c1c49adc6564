import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("docs/options.md, docs/errors.md, docs/metrics.md and docs/fronts.md are what their tables say", () => {
  const { status, stderr } = spawnSync(process.execPath, ["scripts/docs.js", "--check"], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
});
