/** Requests as ten thousand callers make them, from a fixed seed: sizes, lengths, tenants and classes, without any text. */
import type { ItemSpec, RequestSpec } from "#src/scheduler/types.js";
import { Random } from "../../test/sim/random.js";

export interface LoadShape {
  /** Of all requests together. */
  readonly items: number;
  /** Half of them send realtime requests, half one bulk request each; never more of them than items. */
  readonly callers: number;
  readonly tenants: number;
  readonly seed: number;
}

const realtimeItemsMax = 8;
const batchKeys = ["beams 1", "beams 4"];

/** Made one by one, so that nothing of it is held but what the scheduler keeps. */
export function* queuedLoad(shape: LoadShape): Generator<RequestSpec, void, undefined> {
  const random = new Random(shape.seed);
  const callers = Math.min(shape.callers, shape.items);
  let requestId = 0;
  let itemId = 0;
  for (let caller = 0; caller < callers; caller += 1) {
    const isBulk = caller % 2 === 1;
    let left = Math.floor(((caller + 1) * shape.items) / callers) - itemId;
    const tenant = `tenant ${caller % shape.tenants}`;
    const beams = random.chance(0.1) ? 4 : 1;
    while (left > 0) {
      const count = isBulk ? left : Math.min(left, realtimeItemsMax);
      const items: ItemSpec[] = [];
      for (let at = 0; at < count; at += 1) {
        // Lengths of sentences: many of about twenty tokens, and a long tail.
        const width = Math.min(128, 3 + Math.round(random.gap(17)));
        const batchKey = batchKeys[beams === 1 ? 0 : 1] ?? "";
        items.push({ itemId, units: width, width, rows: beams, bytes: 4 * width, batchKey });
        itemId += 1;
      }
      const workClass = isBulk ? "bulk" : "realtime";
      yield { requestId, model: "m", class: workClass, tenant, deadlineAtMs: null, items };
      requestId += 1;
      left -= count;
    }
  }
}
