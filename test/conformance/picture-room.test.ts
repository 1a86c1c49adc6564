/** A robot's pictures, and a person's one that comes after them, on one real pipeline. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClassifyResponse } from "millrace-client/wire";
import { writeColourClassifier } from "../support/colour-classifier.js";
import { quarters } from "../support/pictures.js";
import { getStatus, pidsOf, startReal, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };

test(
  "defect: a robot's 96 pictures are not all given to a pipeline before a person's",
  limit,
  async () => {
    await using dir = await TempDir.make();
    writeColourClassifier(dir.file("models", "colours"), { rowsMax: 4 });
    await using server = await startReal({ models: dir.file("models"), pipelines: 1 });
    const { url } = server;
    const image = (await quarters(16, 16).png().toBuffer()).toString("base64");
    const served: string[] = [];
    const ask = async (tenant: string, count: number): Promise<void> => {
      const images = Array.from({ length: count }, () => image);
      const response = await fetch(`${url}/v1/classify`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ images, class: "realtime", tenant }),
      });
      assert.equal(response.status, 200, await response.clone().text());
      const { results } = (await response.json()) as ClassifyResponse;
      for (const result of results) assert.ok("labels" in result, JSON.stringify(result));
      served.push(tenant);
    };
    const seen = async (): Promise<{ readonly inFlight: number; readonly all: number }> => {
      const { pipelines, queues } = await getStatus(url);
      const inFlight = pipelines.reduce((sum, { items }) => sum + items.inFlight, 0);
      return { inFlight, all: queues.reduce((sum, { items }) => sum + items, inFlight) };
    };
    const [pid = 0] = pidsOf(await getStatus(url));
    process.kill(pid, "SIGSTOP");
    let both: Promise<unknown>;
    try {
      const robot = ask("robot", 96);
      await until(async () => (await seen()).all === 96);
      const { inFlight } = await seen();
      assert.equal(
        inFlight,
        8,
        "two of the model's largest runs; the rest is still to be chosen from",
      );
      both = Promise.all([robot, ask("person", 1)]);
      await until(async () => (await seen()).all === 97);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await both;
    assert.deepEqual(served, ["person", "robot"]);
  },
);
