/** A page of a list: whatever it is a list of, in the order in which they were made. */
import { MillraceError } from "millrace-client/wire";
import type { ListPlace, PageQuery } from "../store.js";
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

export interface PageEntry extends ListPlace {
  readonly id: string;
}

export interface List<T> {
  readonly entries: Iterable<PageEntry>;
  /** Of one that is gone. Null: it was in no list, or is forgotten. */
  readonly placeOf: (id: string) => ListPlace | null;
  /** Null: it went meanwhile. */
  readonly get: (id: string) => Promise<T | null>;
}

/** As many as are asked for where there are so many, whatever goes meanwhile. @throws MillraceError `bad_request` where `after` is not there */
export async function listPage<T>(
  { entries, placeOf, get }: List<T>,
  { owner = null, after, limit, order = "asc" }: PageQuery,
): Promise<readonly T[]> {
  const isTheirs = (place: ListPlace): boolean => owner === null || place.owner === owner;
  const sorted = [...entries].filter(isTheirs).sort((a, b) => a.sequence - b.sequence);
  const sequenceOf = (wanted: string): number => {
    const place = sorted.find(({ id }) => id === wanted) ?? placeOf(wanted);
    if (place !== null && isTheirs(place)) return place.sequence;
    throw new MillraceError("bad_request", `there is none with id ${wanted}`, { param: "after" });
  };
  const from = typeof after === "string" ? sequenceOf(after) : after;
  if (order === "desc") sorted.reverse();
  const isBehind = ({ sequence }: ListPlace): boolean =>
    from === undefined || (order === "desc" ? sequence < from : sequence > from);
  const behind = sorted.filter(isBehind);
  const page: T[] = [];
  for (let at = 0; at < behind.length && page.length < limit; ) {
    const some = behind.slice(at, at + limit - page.length);
    at += some.length;
    const found = await Promise.all(some.map(({ id }) => get(id)));
    page.push(...found.filter((each) => each !== null));
  }
  return page;
}
