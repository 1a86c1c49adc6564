/** The process that makes an entry of weights-cache.ts, for shared-weights.ts; its argument is a `MakeRequest`. */
import { join } from "node:path";
import { watchParent } from "./parent-watch.js";
import { writePacked } from "./session.js";
import type { MakeRequest } from "./shared-weights.js";
import { cachedGraphName, cachedWeightsName, pruneEntries, publishEntry } from "./weights-cache.js";

watchParent();
const { graph, options, dir, cache, probes } = JSON.parse(process.argv[2] ?? "") as MakeRequest;
try {
  await publishEntry(dir, async (newDir) => {
    const target = { graph: join(newDir, cachedGraphName), weightsName: cachedWeightsName, probes };
    await writePacked(graph, options, target);
  });
  await pruneEntries(cache, dir);
} catch (error) {
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
// The lifeline's thread is no reason to stay.
process.exit();
