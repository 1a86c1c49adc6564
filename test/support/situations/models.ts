/** Models that do not come to where they should be. */
import { writeFile } from "node:fs/promises";
import { copyModel } from "../model-copies.js";
import { TempDir } from "../temp-dir.js";
import { writeVersion } from "../versioned-models.js";
import { ClosedLoop, sentence } from "./load.js";
import { type Situation, situation } from "./situation.js";
import { seen, TimedServer } from "./timed-server.js";

const MiB = 1024 ** 2;

export const modelSituations: readonly Situation[] = [
  situation("two models in the room of one", "model-thrashes", async () => {
    await using dir = await TempDir.make();
    for (const name of ["a", "b", "c"]) await copyModel(dir.file(name), name);
    await using server = await TimedServer.start({
      models: dir.path,
      modelMemoryBytes: 30 * MiB,
      ageLimitMs: 100,
    });
    await using _ = new ClosedLoop(server.url, 6, (caller) => ({
      body: { model: ["a", "b", "c"][caller % 3], texts: [sentence(4)] },
    }));
    return await seen(server.url);
  }),
  situation("a model that cannot be loaded", "model-load-fails", async () => {
    await using dir = await TempDir.make();
    for (const name of ["whole", "damaged"]) await copyModel(dir.file(name), name);
    await writeFile(dir.file("damaged", "behaviour"), "load-failed");
    await using server = await TimedServer.start({ models: dir.path, workers: "fake" });
    await using _ = new ClosedLoop(server.url, 1, () => ({
      body: { model: "damaged", texts: [sentence(4)] },
    }));
    return await seen(server.url);
  }),
  situation("a model that no pipeline has room for", "model-too-large", async () => {
    await using dir = await TempDir.make();
    await writeVersion(dir.file("small"), "double");
    await copyModel(dir.file("large"), "large");
    await using server = await TimedServer.start({
      models: dir.path,
      workers: "real",
      modelMemoryBytes: 1 * MiB,
    });
    return await seen(server.url);
  }),
];
