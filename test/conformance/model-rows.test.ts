/** How many rows of a model run at once, where nobody says it and where somebody does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { copyModel } from "../support/model-copies.js";
import { startReady, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };

for (const [rowsMax, expected] of [
  [undefined, { beams: 64, greedy: 64 }],
  [32, { beams: 32, greedy: 32 }],
] as const)
  test(`rows of a model with beams and of a greedy one, --rows-max ${rowsMax}`, limit, async () => {
    await using dir = await TempDir.make();
    await copyModel(dir.file("models", "beams"), "beams", { beams: 2 });
    await copyModel(dir.file("models", "greedy"), "greedy", { beams: 1 });
    const models = dir.file("models");
    await using server = await startReady({
      models,
      ...(rowsMax === undefined ? {} : { rowsMax }),
    });
    // Until something was sent it is believed that an item takes one row: a request that fills a pipeline has an item for each.
    const rows = () =>
      server.views
        .status()
        .models.map(({ model, recommended }) => [model, recommended?.batchItems] as const);
    await until(() => rows().every(([, count]) => count !== undefined));
    assert.deepEqual(Object.fromEntries(rows()), expected);
  });
