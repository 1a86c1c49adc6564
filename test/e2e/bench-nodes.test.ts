import assert from "node:assert/strict";
import { test } from "node:test";
import { bench, figuresIn } from "../support/bench.js";
import { isLong } from "../support/long.js";
import { skipWithoutNats } from "../support/nats-server.js";

const nodesLines: readonly string[] = [
  "bulk requests: efficiency of three nodes #",
  "one large request: efficiency of three nodes #",
  "a job: efficiency of three nodes #",
  "realtime, 20 requests/s for each node: p99 of three / p99 of one #",
  "realtime, p50: added by the hop # ms",
  "published to NATS a sentence: bulk # bytes",
  "texts whose results differ #",
];

if (isLong) {
  test("the nodes benchmark runs to its end at tiny size", { skip: skipWithoutNats }, async () => {
    const size = ["--lines", "200", "--rate", "20", "--rounds", "1", "--measure", "0.4"];
    const parts = ["--parts", "bulk,large,jobs,realtime,hop,model", "--factor", "0.2"];
    const out = await bench("nodes", "--network", "proxies", ...size, ...parts);
    const printed = figuresIn(out);
    assert.deepEqual(
      nodesLines.filter((line) => !printed.includes(line)),
      [],
      out,
    );
    assert.match(out, /^texts whose results differ +0\.00 .*: met$/m);
  });

  test("the storm over nodes: killed, stopped and cut off, and no item is lost or doubled", {
    skip: skipWithoutNats,
  }, async () => {
    const size = [
      "--seconds",
      "3",
      "--every",
      "0.5",
      "--lasts",
      "0.5",
      "--job-lines",
      "200",
      "--rate",
      "20",
    ];
    const out = await bench("nodes", "--network", "proxies", "--parts", "storm", ...size);
    for (const title of ["realtime", "jobs"]) {
      for (const what of ["wrong", "lost", "doubled"]) {
        assert.match(out, new RegExp(`^${title}: ${what} +0\\.00 .*: met$`, "m"), out);
      }
    }
    assert.match(out, /^faults: \d+ killed, \d+ stopped, \d+ cut off; /m);
  });
}
