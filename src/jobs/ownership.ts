/** Whose files and jobs are whose, and what they are called. */
import { randomUUID } from "node:crypto";
import type { Caller } from "../work/caller.js";

/** Whose a caller may list; undefined: everybody's. */
export function ownerFor({ key, isAdmin }: Caller): string | null | undefined {
  return isAdmin ? undefined : key;
}

export function isOwn(
  { key, isAdmin }: Caller,
  { owner }: { readonly owner: string | null },
): boolean {
  return isAdmin || owner === key;
}

export function newId(prefix: string): string {
  return prefix + randomUUID().replaceAll("-", "");
}
