/** A session of the Node binding whose weights are in memory once, where they can be: see shared-weights.ts. */
import { openSession, type Session } from "../session.js";
import type { SessionOptions } from "../session-settings.js";
import { openSharedBy, type SharedWeights } from "../shared-weights.js";

export async function openShared(
  graph: string,
  options: SessionOptions,
  shared: SharedWeights | null,
): Promise<Session> {
  return await openSharedBy(openSession, { graph, options, shared });
}
