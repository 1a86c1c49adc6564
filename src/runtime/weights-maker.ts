/** The process that makes an entry of weights-cache.ts, for shared-weights.ts; its argument is a `MakeRequest`. */
import { join } from "node:path";
import { messageOf } from "../work/thrown.js";
import { watchParent } from "./parent-watch.js";
import { changedExitCode, type MakeRequest } from "./shared-weights.js";
import { cachedGraphName, cachedWeightsName, pruneEntries, publishEntry } from "./weights-cache.js";
import { checkSources, SourceChanged } from "./weights-sources.js";
import { writePacked } from "./write-packed.js";

watchParent();
const request = JSON.parse(process.argv[2] ?? "") as MakeRequest;
const { graph, options, dir, cache, sources, probes } = request;
try {
  await publishEntry(dir, async (newDir) => {
    const target = { graph: join(newDir, cachedGraphName), weightsName: cachedWeightsName, probes };
    // Whatever is wrong with files that change is that they do.
    const wrong: unknown = await writePacked(graph, options, target).catch((error) => error);
    await checkSources(sources);
    if (wrong !== undefined) throw wrong;
  });
  await pruneEntries(cache, dir);
} catch (error) {
  process.stderr.write(messageOf(error));
  process.exitCode = error instanceof SourceChanged ? changedExitCode : 1;
}
// Threads of the runtime are no reason to stay, nor one that watches the parent.
process.exit();
