/** Taking queued items into a draft, in the orders that policies share. */
import type { BatchDraft } from "./batch-draft.js";
import type { ClassQueueView } from "./class-queue.js";
import type { ItemEntry, KeyGroup, RequestEntry } from "./request-book.js";

/** A request's items of a length bucket in the order in which they are taken: widest first. */
export function* takeOrder(list: readonly ItemEntry[] | undefined): Generator<ItemEntry> {
  if (list === undefined) return;
  for (let at = list.length - 1; at >= 0; at -= 1) {
    const item = list[at];
    if (item !== undefined) yield item;
  }
}

/** Takes a request's items of one batch key, widest first, from the buckets that are near; false: one was refused. */
export function takeGroup(
  draft: BatchDraft,
  group: KeyGroup,
  near: (bucket: number) => boolean = () => true,
): boolean {
  const buckets = [...group.byLength.keys()].filter(near).toSorted((a, b) => b - a);
  for (const bucket of buckets)
    for (const item of takeOrder(group.byLength.get(bucket))) if (!draft.add(item)) return false;
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
  const batchKey = queue.oldest.peek()?.queuedGroups.peek()?.batchKey;
  if (batchKey === undefined) return;
  for (const request of queue.oldestOf(batchKey)?.ordered() ?? []) {
    const group = request.groups.get(batchKey);
    if (!may(request) || group === undefined || !takeGroup(draft, group)) return;
  }
}
