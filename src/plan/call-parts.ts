/** Parts of a recorded call. Some of its inputs are a call of their own: which item is of which input was not recorded, each has as many as the others. */
import type { RecordedItems } from "millrace-client/wire";
import type { RecordedCall } from "./recorded-load.js";

export function itemCountOf({ items }: Pick<RecordedCall, "items">): number {
  let sum = 0;
  for (const [, , , count] of items) sum += count;
  return sum;
}

/** Of its deadline, so long after it came; null: it has none. */
export function leftMs(
  { deadlineMs }: Pick<RecordedCall, "deadlineMs">,
  passedMs: number,
): number | null {
  return deadlineMs === null ? null : Math.max(0, deadlineMs - passedMs);
}

export function partOfCall(
  call: RecordedCall,
  of: { readonly places: readonly number[]; readonly deadlineMs: number | null },
): RecordedCall {
  const { places, deadlineMs } = of;
  const share = places.length / call.inputs;
  const all = itemCountOf(call);
  const itemAt = (input: number): number => Math.floor((all * input) / call.inputs);
  const items: RecordedItems[] = [];
  for (const [from, to] of runsOf(places))
    items.push(...itemsBetween(call.items, itemAt(from), itemAt(to)));
  return {
    ...call,
    inputs: places.length,
    items,
    bytes: Math.ceil(call.bytes * share),
    itemBytes: Math.ceil(call.itemBytes * share),
    prepareMs: call.prepareMs * share,
    deadlineMs,
    // A lot has the whole's deadline, and may wait for its turn: others have begun.
    isDeadlineNamed: false,
  };
}

/** Of rising places, those that follow each other: from the first to behind the last. */
function runsOf(places: readonly number[]): readonly (readonly [from: number, to: number])[] {
  const runs: [number, number][] = [];
  for (const place of places) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === place) last[1] = place + 1;
    else runs.push([place, place + 1]);
  }
  return runs;
}

function itemsBetween(
  items: readonly RecordedItems[],
  from: number,
  to: number,
): readonly RecordedItems[] {
  const taken: RecordedItems[] = [];
  let at = 0;
  for (const [units, width, rows, count, key] of items) {
    const own = Math.min(to, at + count) - Math.max(from, at);
    at += count;
    if (own <= 0) continue;
    taken.push(key === undefined ? [units, width, rows, own] : [units, width, rows, own, key]);
  }
  return taken;
}
