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
  hosts: ReadonlyMap<string, Host>,
  { realtimeTargetMs }: { readonly realtimeTargetMs: number },
): Need | null {
  const { place } = model;
  if (!place.mayBeLoaded) return null;
  const classes = unserved(model, hosts);
  if (classes.length > 0) return { kind: "starved", classes };
  let stays = 0;
  for (const { leaving } of model.pipelines) if (!leaving) stays += 1;
  if (model.suspects.waitingItems > 0 && stays + place.comingTo.size === 0)
    return { kind: "starved", classes: [null] };
  const longMs = replicaFactor * place.loadMs + realtimeTargetMs;
  const isLong = stays > 0 && model.queuedMs / stays > longMs;
  if (isLong && place.comingTo.size === 0 && stays < hosts.size) return { kind: "replica" };
  return place.wantedOn.size > 0 ? { kind: "wanted" } : null;
}

const none: readonly WorkClass[] = [];

/** Classes that somebody waits in, and that no pipeline which has the model serves. */
function unserved(model: ModelState, hosts: ReadonlyMap<string, Host>): readonly WorkClass[] {
  let classes = none;
  for (const each of workClasses)
    if (model.queuedOf(each) > 0 && !isServed(model, each, hosts.values()))
      classes = [...classes, each];
  return classes;
}

/** A pipeline that has it, or will, is meant for the class; or none that is up is. */
export function isServed(model: ModelState, workClass: WorkClass, hosts: Iterable<Host>): boolean {
  // Mostly one that is meant for it has it: then nobody need look at the others.
  for (const { leaving, host } of model.pipelines)
    if (!leaving && host.isMeantFor(workClass)) return true;
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
