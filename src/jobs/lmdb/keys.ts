/** Keys that are made of what callers say, and pages of a list. */
import { createHash } from "node:crypto";
import { MillraceError } from "millrace-client/wire";
import type { ListPlace, PageQuery } from "../store.js";
import { keptPlace, type ListName } from "./places.js";
import type { Tables } from "./tables.js";

const keyCharactersMax = 256;

/** Ids are ours; what a caller asks for may be anything, and LMDB has bounds. */
export function isKey(id: string): boolean {
  return id.length > 0 && id.length <= keyCharactersMax && !id.includes("\0") && id.isWellFormed();
}

/** Where the list of an owner begins; of everybody for null. */
export function ownerKey(owner: string | null): string {
  return owner === null ? "*" : digest(owner);
}

export function requestKeyOf(owner: string | null, requestKey: string): string {
  return digest(JSON.stringify([owner, requestKey]));
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

interface List<T> {
  readonly name: ListName;
  /** Null also where it is damaged: the others of the page are there all the same. */
  readonly find: (id: string) => T | null;
}

/** @throws MillraceError `bad_request` where `after` is not in the list */
export function pageOf<T extends ListPlace>(
  tables: Tables,
  query: PageQuery,
  { name, find }: List<T>,
): readonly T[] {
  const { owner = null, after, limit, order = "asc" } = query;
  const key = ownerKey(owner);
  const sequenceOf = (id: string): number => {
    const place = find(id) ?? (isKey(id) ? keptPlace(tables, name, id) : null);
    if (place !== null && (owner === null || place.owner === owner)) return place.sequence;
    throw new MillraceError("bad_request", `there is no ${id} in the list`, { param: "after" });
  };
  const isReverse = order === "desc";
  const first = isReverse ? Number.MAX_SAFE_INTEGER : 0;
  const start = typeof after === "string" ? sequenceOf(after) : (after ?? first);
  const end = isReverse ? 0 : Number.MAX_SAFE_INTEGER;
  const page: T[] = [];
  for (const at of tables.keys(name, { start: [key, start], end: [key, end], isReverse })) {
    if (page.length >= limit) break;
    if (Array.isArray(at) && at[1] === start) continue;
    const id = tables.idAt(name, at);
    const found = id === null ? null : find(id);
    if (found !== null) page.push(found);
  }
  return page;
}
