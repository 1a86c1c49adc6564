/** The seeds' mixed load: a few callers with many sentences come first, many callers with a few come after them. */
import { apiDefaults } from "millrace-client/wire";
import { takeLines } from "./lines.js";
import type { Call, CallFields } from "./wave.js";

/** As the seeds had it. */
export const seedsMix = { firstCallers: 4, laterItems: 8, laterAtMs: 500 } as const;

/** A request of so many is bulk where it does not say what it is. */
export function isBulk(items: number): boolean {
  return items >= apiDefaults.bulkThreshold;
}

/** What each of the first sends: part of `items`, for a short run. */
export function scaledItems(items: number, scale: number): number {
  return Math.max(1, Math.round(scale * items));
}

interface Callers {
  readonly lines: readonly string[];
  readonly fields: CallFields;
  readonly callers: number;
  /** Sentences of each. */
  readonly items: number;
}

/** All at once; scaled, they keep their class. */
export function firstCalls({
  lines,
  fields,
  callers,
  items,
  scale,
}: Callers & { readonly scale: number }): readonly Call[] {
  const count = scaledItems(items, scale);
  const own: CallFields = isBulk(items) ? { ...fields, class: "bulk" } : fields;
  return Array.from({ length: callers }, (_, at) => {
    return { dueMs: 0, texts: takeLines(lines, at * count, count), fields: own };
  });
}

/** The first of them at `atMs`. */
export function laterCalls({
  lines,
  fields,
  callers,
  items,
  atMs,
  gapMs,
}: Callers & { readonly atMs: number; readonly gapMs: number }): readonly Call[] {
  return Array.from({ length: callers }, (_, at) => {
    return { dueMs: atMs + gapMs * at, texts: takeLines(lines, at * items, items), fields };
  });
}
