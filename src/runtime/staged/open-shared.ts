/** A session whose weights are in memory once, where they can be (shared-weights.ts), and whose runs can be watched by a name of the stage. */
import type { EngineRequest } from "../engine.js";
import { Session } from "../session.js";
import type { SessionOptions } from "../session-settings.js";
import { openSharedBy, type SharedWeights } from "../shared-weights.js";

export async function openShared(
  { manifest, runWatch }: Pick<EngineRequest, "manifest" | "runWatch">,
  stage: string,
  of: {
    readonly graph: string;
    readonly options: SessionOptions;
    readonly shared: SharedWeights | null;
  },
): Promise<Session> {
  const watcher = runWatch?.graph(`${manifest.name} ${stage}`) ?? null;
  return await openSharedBy((path, options) => Session.open(path, options, watcher), of);
}
