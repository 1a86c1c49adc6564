/** Taking queued items into a draft, in the orders that policies share. */
import type { BatchDraft } from "./batch-draft.js";
import type { ClassQueueView } from "./class-queue.js";
import type { KeyGroup, RequestEntry } from "./request-book.js";

/** Takes a request's items of one batch key, widest first, from the buckets that are near; false: one was refused. */
export function takeGroup(
  draft: BatchDraft,
  { queued }: KeyGroup,
  near: (bucket: number) => boolean = everyBucket,
): boolean {
  for (let place = queued.size - 1; place >= 0; place -= 1) {
    const item = queued.at(place);
    if (item !== undefined && near(item.bucket) && !draft.add(item)) return false;
  }
  return true;
}

function everyBucket(): boolean {
  return true;
}

/**
 * Takes request by request, oldest first, as long as `may` says so and the bounds allow. The oldest request's widest item
 * names the batch key; items of other keys are passed over, and lead another time.
 */
export function takeByAge(
  draft: BatchDraft,
  queue: ClassQueueView,
  may: (request: RequestEntry) => boolean,
): void {
  const batchKey = queue.oldest.first?.queuedGroups.peek()?.batchKey;
  if (batchKey === undefined) return;
  const line = queue.oldestOf(batchKey)?.cursor();
  for (let request = line?.current; request !== undefined; request = line?.current) {
    const group = request.groups.get(batchKey);
    if (!may(request) || group === undefined || !takeGroup(draft, group)) return;
    line?.next();
  }
}
