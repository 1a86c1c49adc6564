/**
 * Who knows an engine: its folder, its manifest, a line in each table, what makes its models, and the tasks whose items it
 * runs. Whoever else asks for more than every manifest has would not compile beside a second engine.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { engineTable } from "#src/models/engine-table.js";
import { readSources, specifiersOf, targetOf } from "./imports.js";

/** For each engine: its files, and who else may import them. */
const knowing: Readonly<
  Record<string, { readonly own: RegExp; readonly users: readonly string[] }>
> = {
  generation: {
    own: /^src\/(?:models\/manifest-generation\.ts|work\/generation\.ts|runtime\/generation\/.*)$/,
    users: [
      "src/convert/",
      "src/models/engine-table.ts",
      "src/models/manifest.ts",
      "src/runtime/engines.ts",
      // Its choosing, on a virtual clock.
      "src/simulation/",
      "src/plan/simulated-pipeline.ts",
      "src/tasks/translation/",
    ],
  },
  staged: {
    own: /^src\/(?:models\/manifest-staged\.ts|models\/programs\/.*|work\/(?:encoding|picture|text-lines)\.ts|runtime\/staged\/.*)$/,
    users: [
      "src/convert/",
      "src/models/engine-table.ts",
      "src/models/manifest.ts",
      "src/prepare/image/",
      "src/prepare/text/encoder-texts.ts",
      "src/runtime/engines.ts",
      "src/runtime/pictures.ts",
      "src/simulation/",
      "src/plan/simulated-pipeline.ts",
      "src/tasks/classification/",
      "src/tasks/embedding/",
      "src/tasks/ocr/",
      "src/tasks/reranking/",
      // What a plain ONNX file is, and where one may stand.
      "src/models/read-manifest.ts",
      "src/models/registry.ts",
      "src/cli/inspect.ts",
      "src/tasks/tensors/",
    ],
  },
};

test("every engine of the table has its list", () => {
  assert.deepEqual(Object.keys(knowing).toSorted(), Object.keys(engineTable).toSorted());
});

for (const [engine, { own, users }] of Object.entries(knowing)) {
  test(`only these files know the engine ${engine}`, () => {
    const found = readSources("src")
      .filter(({ path }) => !own.test(path))
      .filter(({ path, text }) => specifiersOf(text).some((name) => own.test(targetOf(path, name))))
      .map(({ path }) => users.find((user) => path === user || path.startsWith(user)) ?? path);
    assert.deepEqual([...new Set(found)].toSorted(), users.toSorted());
  });
}
