import { type WorkClass, workClasses } from "millrace-client/wire";
import type { Host } from "./host.js";
import type { ModelState } from "./model-state.js";

/** What a model wants of the pipelines, most urgent first. */
export type Need =
  /** Somebody waits, and no pipeline that serves these classes has it; null: any class will do. */
  | { readonly kind: "starved"; readonly classes: readonly (WorkClass | null)[] }
  /** The pipelines that have it have more to do than it takes to load it once more. */
  | { readonly kind: "replica" }
  /** It is to be there though nobody waits. */
  | { readonly kind: "wanted" };

/** A queue that is so many times as long as a load is worth another pipeline. */
const replicaFactor = 4;

/** Null: it has all that it needs, or nothing may load it. */
export function needOf(
  model: ModelState,
  hosts: Iterable<Host>,
  { realtimeTargetMs }: { readonly realtimeTargetMs: number },
): Need | null {
  const { place } = model;
  if (!place.mayBeLoaded) return null;
  const up = [...hosts];
  const classes = workClasses.filter(
    (each) => model.queues[each].items > 0 && !isServed(model, each, up),
  );
  if (classes.length > 0) return { kind: "starved", classes };
  const stays = model.pipelines.filter(({ leaving }) => !leaving);
  if (model.suspects.waitingItems > 0 && stays.length + place.comingTo.size === 0)
    return { kind: "starved", classes: [null] };
  const longMs = replicaFactor * place.loadMs + realtimeTargetMs;
  const isLong = stays.length > 0 && model.queuedMs / stays.length > longMs;
  if (isLong && place.comingTo.size === 0 && stays.length < up.length) return { kind: "replica" };
  return place.wantedOn.size > 0 ? { kind: "wanted" } : null;
}

/** A pipeline that has it, or will, is meant for the class; or none that is up is. */
export function isServed(model: ModelState, workClass: WorkClass, hosts: Iterable<Host>): boolean {
  const serves = serversOf(workClass, hosts);
  return (
    model.pipelines.some((resident) => !resident.leaving && serves(resident.host)) ||
    [...model.place.comingTo].some(serves)
  );
}

/** Which pipelines a class is served by: those that are meant for it, or any where none is. Null: any class. */
export function serversOf(
  workClass: WorkClass | null,
  hosts: Iterable<Host>,
): (host: Host) => boolean {
  if (workClass === null) return () => true;
  let isMeant = false;
  for (const host of hosts) isMeant ||= host.isMeantFor(workClass);
  return (host) => !isMeant || host.isMeantFor(workClass);
}
