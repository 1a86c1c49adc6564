/** What is served while the folder changes, and who is told what of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type FoundModels, ServedModels } from "#src/backend/served-models.js";

test("defect: a reload that is asked for while another one is under way sees what came in between", async () => {
  let folder: FoundModels = { served: [], broken: [] };
  let look: () => void = () => {};
  let looks = 0;
  const served = new ServedModels(folder, {
    modelsDir: "models",
    find: async () => {
      looks += 1;
      const seen = folder;
      await new Promise<void>((resolve) => {
        look = resolve;
      });
      return seen;
    },
    host: () => {},
    serve: () => {},
    retire: () => {},
    prepare: () => {},
    isResident: () => false,
  });
  const first = served.reload();
  folder = { served: [], broken: [{ dir: "models/new", reason: "it came later" }] };
  const later = [served.reload(), served.reload(), served.reload()];
  look();
  assert.deepEqual((await first).broken, []);
  while (looks < 2) await new Promise((resolve) => setImmediate(resolve));
  look();
  for (const each of later) assert.deepEqual((await each).broken, folder.broken);
  assert.equal(looks, 2, "those who wait together share one look");
  const last = served.reload();
  look();
  await last;
  assert.equal(looks, 3);
});
