/** Keys that are made of what callers say, and pages of a list. */
import { createHash } from "node:crypto";
import { MillraceError } from "millrace-client";
import type { PageQuery } from "../store.js";
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

interface Listed {
  readonly owner: string | null;
  readonly sequence: number;
}

/** @throws MillraceError `bad_request` where `after` is not in the list */
export function pageOf<T extends Listed>(
  tables: Tables,
  name: "filesInOrder" | "jobsInOrder",
  query: PageQuery,
  find: (id: string) => T | null,
): readonly T[] {
  const { owner = null, after, limit, order = "asc" } = query;
  const key = ownerKey(owner);
  const isReverse = order === "desc";
  const from = after === undefined ? null : find(after);
  if (after !== undefined && (from === null || (owner !== null && from.owner !== owner))) {
    throw new MillraceError("bad_request", `there is no ${after} in the list`, { param: "after" });
  }
  const start = isReverse ? (from?.sequence ?? Number.MAX_SAFE_INTEGER) : (from?.sequence ?? 0);
  const end = isReverse ? 0 : Number.MAX_SAFE_INTEGER;
  const page: T[] = [];
  for (const at of tables.keys(name, { start: [key, start], end: [key, end], isReverse })) {
    if (page.length >= limit) break;
    const { id } = tables.get(name, at)?.head as { readonly id: string };
    if (id === after) continue;
    const found = find(id);
    if (found !== null) page.push(found);
  }
  return page;
}
