import assert from "node:assert/strict";
import { test } from "node:test";
import { bench, figuresIn } from "../support/bench.js";
import { isLong } from "../support/long.js";

const jobsLines: readonly string[] = [
  "timed workers, 300 lines: job / requests #",
  "instant workers, 300 lines: job / requests #",
  "accepted, 300 texts in a JSON body # lines/s",
  "accepted, 300 lines of NDJSON # lines/s",
  "uploaded, a file of 300 requests in OpenAI's form # lines/s",
  "a batch over it, until all its lines are checked # lines/s",
  "on disk, a line with its result # bytes",
  "memory of the front while they come in # MiB",
  "from its start until it answers # ms",
  "from its start until the first new result is committed # ms",
];

if (isLong) {
  test("the jobs benchmark runs to its end at tiny size", async () => {
    const size = ["--lines", "300", "--million", "0.002", "--rounds", "1"];
    const out = await bench(
      "jobs",
      "--parts",
      "ceiling,accept,memory,restart",
      "--factor",
      "0.1",
      ...size,
    );
    const printed = figuresIn(out);
    assert.deepEqual(
      jobsLines.filter((line) => !printed.includes(line)),
      [],
      out,
    );
    assert.match(out, /commit [0-9a-f]{7}/);
    assert.match(out, /^memory: each line has its result, in its place: yes$/m);
    assert.match(out, /^restart: 300 lines, killed 1 times; 300 right, 0 failed at the end$/m);
  });

  test("the storm over a job: its server is killed whole again and again, and each line has one result, with an undisturbed run's bytes", async () => {
    const out = await bench(
      "jobs",
      "--parts",
      "storm",
      "--lines",
      "1200",
      "--kills",
      "3",
      "--factor",
      "1",
    );
    const printed = figuresIn(out);
    for (const nothing of [
      "the job's lines without exactly one result",
      "promises broken in the storm",
    ]) {
      assert.ok(printed.includes(`${nothing} #`), out);
      assert.match(out, new RegExp(`^${nothing} +0\\.00 .*: met$`, "m"));
    }
    assert.match(out, /^its bytes: [0-9a-f]{16}, equal; in order: true$/m);
    assert.match(out, /^kills of the whole process tree .*: met$/m);
    assert.match(out, /^kills: .*\d while a job was cancelled, \d around a job's deadline$/m);
  });
}
