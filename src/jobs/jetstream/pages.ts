/** A page of a list: whatever it is a list of, in the order in which they were made. */
import { MillraceError } from "millrace-client/wire";
import type { PageQuery } from "../store.js";
import type { Feed } from "./feed.js";
import type { Records } from "./records.js";

const waitMs = 1_000;
const looksMax = 5;

/** Everything that was acknowledged before, to whomever, is in the index when it resolves. */
export async function whenIndexed(records: Records, feed: Feed): Promise<void> {
  for (let look = 0; look < looksMax; look++) {
    if (await feed.reaches(await records.lastSequence(), waitMs)) return;
  }
  throw new MillraceError("job_store_failed", "the job store is not heard of in time");
}

export interface PageEntry {
  readonly id: string;
  readonly sequence: number;
  readonly owner: string | null;
}

/** From where the page begins. @throws MillraceError `bad_request` where `after` is not there */
export function entriesFrom<Entry extends PageEntry>(
  entries: Iterable<Entry>,
  { owner, after, order = "asc" }: Omit<PageQuery, "limit">,
): readonly Entry[] {
  const isTheirs = (entry: Entry): boolean => (owner ?? null) === null || entry.owner === owner;
  const sorted = [...entries].filter(isTheirs).sort((a, b) => a.sequence - b.sequence);
  if (order === "desc") sorted.reverse();
  if (after === undefined) return sorted;
  const at = sorted.findIndex(({ id }) => id === after);
  if (at === -1) {
    throw new MillraceError("bad_request", `there is none with id ${after}`, { param: "after" });
  }
  return sorted.slice(at + 1);
}

/** So many of them as are there still, however many are deleted meanwhile: a page that is not full is taken for the last one. */
export async function fullPage<Entry, Found>(
  entries: readonly Entry[],
  limit: number,
  get: (entry: Entry) => Promise<Found | null>,
): Promise<readonly Found[]> {
  const page: Found[] = [];
  for (let at = 0; at < entries.length && page.length < limit; ) {
    const next = entries.slice(at, at + limit - page.length);
    const found = await Promise.all(next.map(get));
    page.push(...found.filter((each) => each !== null));
    at += next.length;
  }
  return page;
}
