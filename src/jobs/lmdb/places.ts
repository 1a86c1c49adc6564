/** Where in its list was what is deleted: for a while, because somebody may page on behind it. Inside a transaction. */
import { type ListPlace, placeKeptMs } from "../store.js";
import type { Tables } from "./tables.js";

export type ListName = "filesInOrder" | "jobsInOrder";

interface Deleted extends ListPlace {
  readonly id: string;
}

/** From the time that was kept last, which is some seconds old: the tables know no other. */
export function keepPlace(tables: Tables, list: ListName, { id, owner, sequence }: Deleted): void {
  const untilMs = keptTimeMs(tables) + placeKeptMs;
  tables.put("places", [list, id], { owner, sequence } satisfies ListPlace);
  tables.put("expiries", [untilMs, list, id], {});
}

/** Null: nothing was called so, or it is forgotten. */
export function keptPlace(tables: Tables, list: ListName, id: string): ListPlace | null {
  return (tables.get("places", [list, id])?.head as ListPlace | undefined) ?? null;
}

export function forgetPlace(tables: Tables, list: ListName, id: string): void {
  tables.remove("places", [list, id]);
}

/** Beside what expires: a `job`, a `file`, a `key`, or a place in one of these. */
export function isListName(kind: string): kind is ListName {
  return kind === "filesInOrder" || kind === "jobsInOrder";
}

export function keptTimeMs(tables: Tables): number {
  const kept = tables.get("marks", "time")?.head as { readonly ms: number } | undefined;
  return kept?.ms ?? 0;
}
