/** What is served while the folder changes, and who is told what of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type FoundModels, type HostedFolder, ServedModels } from "#src/backend/served-models.js";
import { readModel } from "#src/models/read-manifest.js";
import { translation } from "#src/tasks/translation/translation.js";
import { bundledModelDir } from "../support/engine.js";

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
    missingOf: () => [],
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

/** The bundled model's folder as if it were one of this name, whose files are of this moment. */
async function folderOf(name: string, stamp: string): Promise<HostedFolder> {
  const { dir, manifest } = await readModel(bundledModelDir);
  const version = { version: stamp, seen: stamp };
  const folder = { dir, manifest: { ...manifest, name }, version };
  const taskModel = await translation.open(folder, { inputCharactersMax: 1_000 } as never);
  const hosted = { key: name, name, modelDir: dir, mode: "continuous", bytes: 1 } as const;
  const how = { keep: "preloaded", rowsMax: 64 } as const;
  return { folder, hosted: { ...hosted, ...how, task: translation, taskModel } };
}

test("defect: a version that is still being loaded at the next reload is prepared for when it takes over", async () => {
  let found: FoundModels = { served: [await folderOf("a", "1")], broken: [] };
  let prepared: readonly string[] = ["a"];
  let prepares = 0;
  const callers: string[] = [];
  const served = new ServedModels(found, {
    modelsDir: "models",
    find: async () => found,
    missingOf: () => [],
    host: () => {},
    serve: (_, model) => callers.push(model?.key ?? "nobody"),
    retire: () => {},
    prepare: (models) => {
      prepares += 1;
      prepared = models.map(({ hosted }) => hosted.key);
    },
    isResident: () => true,
  });
  found = { served: [await folderOf("a", "2")], broken: [] };
  assert.deepEqual((await served.reload()).changed, ["a"]);
  await served.reload();
  assert.equal(prepares, 1, "nothing changed: whoever prepares is left alone");
  // Another one comes meanwhile, and both take over after that.
  found = { served: [...found.served, await folderOf("b", "1")], broken: [] };
  assert.deepEqual((await served.reload()).added, ["b"]);
  served.observed({ type: "loaded", pipelineId: "p", model: "a@1", bytes: 1, ms: 1 });
  assert.equal(callers.at(-1), "a@1");
  assert.deepEqual(prepared.toSorted(), ["a@1", "b@2"], "and nobody prepares for the old one");
  served.close();
});

test("defect: an end from outside, or a shortage, while a new version is loaded does not end its coming", async () => {
  let found: FoundModels = { served: [await folderOf("a", "1")], broken: [] };
  let isResident = true;
  const callers: string[] = [];
  const retired: string[] = [];
  const served = new ServedModels(found, {
    modelsDir: "models",
    find: async () => found,
    missingOf: () => [],
    host: () => {},
    serve: (_, model) => callers.push(model?.key ?? "nobody"),
    retire: (key) => retired.push(key),
    prepare: () => {},
    isResident: () => isResident,
  });
  const bring = async (stamp: string): Promise<void> => {
    found = { served: [await folderOf("a", stamp)], broken: [] };
    await served.reload();
  };
  const down = (model: string, isFault: boolean): void => {
    const loading = { model, isFault };
    served.observed({ type: "down", pipelineId: "p", reason: "SIGKILL", loading });
  };
  const failed = (model: string, isBroken: boolean): void => {
    served.observed({ type: "load-failed", pipelineId: "p", model, reason: "why", isBroken });
  };
  await bring("2");
  down("a@1", false);
  failed("a@1", false);
  assert.deepEqual([served.broken.length, retired, callers], [1, [], []], "it is named, and comes");
  served.observed({ type: "loaded", pipelineId: "p", model: "a@1", bytes: 1, ms: 1 });
  assert.deepEqual([served.broken, callers, retired], [[], ["a@1"], ["a"]]);
  // Whose fault it is, is lost, and named.
  await bring("3");
  down("a@2", true);
  assert.deepEqual([served.broken.length, retired], [1, ["a", "a@2"]]);
  await bring("4");
  failed("a@3", true);
  assert.deepEqual([served.broken.length, callers], [1, ["a@1"]]);
  // The files of the old one are gone: where no pipeline has it any more nobody is sent there.
  await bring("5");
  isResident = false;
  served.observed({ type: "down", pipelineId: "p", reason: "SIGKILL", loading: null });
  assert.deepEqual(callers, ["a@1", "a@4"]);
  served.close();
});
