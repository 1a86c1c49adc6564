/** What was seen of a server over some time: two whole looks, and short samples from the first to the last. */
import type { LiveSample, LiveStatus } from "millrace-client/wire";

export interface WholeLook extends Pick<LiveStatus, "status" | "nodes"> {
  /** Unix time in milliseconds. */
  readonly atMs: number;
}

export interface DoctorWindow {
  readonly before: WholeLook;
  readonly after: WholeLook;
  /** Oldest first, those of `before` and `after` among them. */
  readonly samples: readonly LiveSample[];
}

/** Growing sums: what came between two of them. One that went backwards was begun anew. */
export function grownBy(before: number, after: number): number {
  return after >= before ? after - before : after;
}

/** The same of several sums. */
export function grownSums<Key extends string>(
  before: Readonly<Record<Key, number>>,
  after: Readonly<Record<Key, number>>,
  keys: readonly Key[],
): Record<Key, number> {
  const sums = keys.map((key) => [key, grownBy(before[key], after[key])]);
  return Object.fromEntries(sums) as Record<Key, number>;
}
