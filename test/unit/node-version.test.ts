import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeProblem } from "#src/cli/node-version.js";

test("a Node that is too old is told so, with what is needed and what to type", () => {
  for (const version of ["18.20.8", "20.18.3", "16.0.0"]) {
    const told = nodeProblem(version, ">=20.19") ?? "";
    assert.match(told, new RegExp(`needs Node 20\\.19 or newer; this is ${version}\\.\\n.*npx `));
  }
  for (const version of ["20.19.0", "20.20.1", "22.0.0", "24.1.0", "26.0.0-nightly"])
    assert.equal(nodeProblem(version, ">=20.19"), null, version);
});

test("of this package, the Node that runs this is new enough", () => {
  assert.equal(nodeProblem(), null);
});
