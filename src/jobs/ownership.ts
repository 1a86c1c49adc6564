/** Whose files and jobs are whose, what they are called, and that a server that stops takes no new ones. */
import { randomUUID } from "node:crypto";
import { MillraceError } from "millrace-client/wire";
import type { Caller } from "../work/caller.js";
import type { ServerViews } from "../work/views.js";

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

/** @throws MillraceError `draining` */
export function refuseWhileDraining({ isDraining }: Pick<ServerViews, "isDraining">): void {
  if (!isDraining) return;
  throw new MillraceError("draining", "The server is stopping and takes no new work.");
}
