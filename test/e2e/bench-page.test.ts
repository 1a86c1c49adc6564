import assert from "node:assert/strict";
import { bench } from "../support/bench.js";
import { skipWithoutBrowser } from "../support/browser.js";
import { longTest } from "../support/long.js";

longTest(
  "bench page: what looks cost those who write, read and draw them",
  {
    timeout: 120_000,
  },
  async () => {
    const args = ["--readers", "2", "--seconds", "0.3", "--rounds", "1", "--kills", "1"];
    const out = await bench("page", ...args);
    for (const of of ["idle", "under load"]) {
      assert.match(out, new RegExp(`^${of}: a look is [1-9]\\d+ characters`, "m"));
      assert.match(out, new RegExp(`^${of}, 2 pages: of a core +-?\\d`, "m"));
    }
    if (skipWithoutBrowser !== false) return;
    for (const size of ["2 pipelines", "64 pipelines"])
      assert.match(out, new RegExp(`^${size}, .*: main thread of the browser, a look +\\d`, "m"));
    assert.match(out, /^a worker was killed: until the page shows it +\d+/m);
  },
);
