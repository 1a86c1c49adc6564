import type { FedPipeline } from "./fed-pipeline.js";
import type { Host } from "./host.js";
import type { ModelState } from "./model-state.js";

/** Whom a load may cost its place. */
export interface EvictionOptions {
  readonly nowMs: number;
  readonly ageLimitMs: number;
  /** Since when the model that wants the room is waited for. */
  readonly waitsSinceMs: number;
  /** Only who has been of no use for long goes: nobody waits for the load that wants the room. */
  readonly idleOnly: boolean;
}

/** What has to go from a host so that a model has room, and from when on it may. */
export interface Eviction {
  readonly victims: readonly FedPipeline[];
  readonly atMs: number;
}

/** Batches since its load that make a resident one that is used steadily: for a load's time it counts as used in between. */
const steadyUses = 4;
/** A resident is idle for good after so many times what it takes to change it for another. */
const idleFactor = 4;
/** A sole resident that is in use stays for at least so many times what it takes to change it for another and back … */
const stayFactorMin = 2;
/** … and mostly so many times, unless that is longer than the age limit. */
const stayFactor = 8;
/** Its queue is long enough to pay for the change before that. */
const payFactor = 4;

/**
 * Null: the model does not fit there, whatever goes. The least useful go first: those that are idle, longest idle for what it
 * takes to load them again first; then those whose model is elsewhere too; then those in use.
 *
 * ```
 *   idle                      at once
 *   in use, also elsewhere    at once; it drains first
 *   in use, only there        when it has stayed long enough for the two loads that the change costs, and the other has
 *                             waited as long, or its queue pays for them
 *   pinned                    never
 * ```
 * So two models that are used all the time and do not fit together take turns of many times their loads, and neither starves.
 */
export function evictionFor(
  host: Host,
  model: ModelState,
  options: EvictionOptions,
): Eviction | null {
  if (host.isTooSmallFor(model)) return null;
  let neededBytes = host.bytesFor(model) - host.freeBytes;
  if (neededBytes <= 0) return { victims: [], atMs: options.nowMs };
  const candidates = [...host.residents.values()]
    .filter((resident) => !resident.leaving && !resident.model.place.isPinned)
    .map((resident) => ({ resident, ...whenMayGo(resident, model, options) }))
    .sort((a, b) => a.rank - b.rank || a.atMs - b.atMs || b.idleness - a.idleness);
  const victims: FedPipeline[] = [];
  let atMs = options.nowMs;
  for (const candidate of candidates) {
    if (neededBytes <= 0) break;
    victims.push(candidate.resident);
    neededBytes -= host.bytesFor(candidate.resident.model);
    atMs = Math.max(atMs, candidate.atMs);
  }
  return neededBytes > 0 ? null : { victims, atMs };
}

interface Leave {
  readonly rank: number;
  readonly atMs: number;
  /** How long it has been idle for what its load costs. */
  readonly idleness: number;
}

function whenMayGo(resident: FedPipeline, model: ModelState, options: EvictionOptions): Leave {
  const { nowMs, idleOnly } = options;
  const { place } = resident.model;
  const idleMs = nowMs - resident.usedAtMs;
  const idleness = idleMs / Math.max(1, place.loadMs);
  const changeMs = place.loadMs + model.place.loadMs;
  const isHeld = resident.inFlight > 0 || isWaitedFor(resident);
  if (idleOnly) {
    const atMs = isHeld ? Infinity : resident.usedAtMs + idleFactor * changeMs;
    return { rank: 0, atMs, idleness };
  }
  const isSteady = resident.uses >= steadyUses && idleMs < place.loadMs;
  if (!isHeld && !isSteady) return { rank: 0, atMs: nowMs, idleness };
  if (isElsewhereToo(resident)) return { rank: 1, atMs: nowMs, idleness };
  const stayMs = Math.max(
    stayFactorMin * changeMs,
    Math.min(stayFactor * changeMs, options.ageLimitMs),
  );
  const pays = model.queuedMs >= payFactor * changeMs;
  const waitedAtMs = pays ? nowMs : options.waitsSinceMs + stayMs;
  const inUseAtMs = Math.max(resident.sinceMs + stayMs, waitedAtMs);
  // One that is only used steadily may turn out to be idle before that.
  const atMs = isHeld ? inUseAtMs : Math.min(inUseAtMs, resident.usedAtMs + place.loadMs);
  return { rank: 2, atMs, idleness };
}

/** Something is queued that it serves. */
function isWaitedFor(resident: FedPipeline): boolean {
  const { model } = resident;
  return model.isAskedOf(resident) || model.suspects.waitingItems > 0;
}

/** Another pipeline serves what this one does. */
function isElsewhereToo(resident: FedPipeline): boolean {
  const { meantFor } = resident.host;
  return resident.model.pipelines.some(
    (other) =>
      other !== resident && !other.leaving && meantFor.every((each) => other.host.isMeantFor(each)),
  );
}

/** A pipeline that a model could go to. */
export interface Candidate {
  readonly host: Host;
  readonly eviction: Eviction;
}

/** Sooner; without realtime work; without anybody's place; with least to do; with most room. */
export function isBetter(a: Candidate, b: Candidate): boolean {
  const order =
    a.eviction.atMs - b.eviction.atMs ||
    Number(a.host.inFlight.realtime > 0) - Number(b.host.inFlight.realtime > 0) ||
    a.eviction.victims.length - b.eviction.victims.length ||
    a.host.items - b.host.items ||
    b.host.freeBytes - a.host.freeBytes;
  return order < 0;
}
