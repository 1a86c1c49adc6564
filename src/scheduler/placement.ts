import { type WorkClass, workClasses } from "millrace-client/wire";
import { assertScheduler } from "./assert.js";
import { Claims } from "./claims.js";
import { type Candidate, evictionFor, isBetter } from "./eviction.js";
import { FedPipeline } from "./fed-pipeline.js";
import { Host } from "./host.js";
import { type MemoryShare, memoryShares, tooLargeReason } from "./memory-shares.js";
import type { LoadFailure } from "./model-place.js";
import type { ModelState } from "./model-state.js";
import { Moves, type MovesOwner } from "./moves.js";
import { isServed, type Need, needOf, serversOf } from "./need.js";
import type { HostSpec, ModelSpec, SchedulerEvent } from "./types.js";

export interface PlacementOptions {
  readonly realtimeTargetMs: number;
  readonly ageLimitMs: number;
  /** How long a model whose load failed is not loaded again; doubles with each failure in a row. */
  readonly loadBackoffMinMs: number;
  readonly loadBackoffMaxMs: number;
}

export type PlacementOwner = Pick<MovesOwner, "touch" | "decide">;

/** One look at all that is waited for. */
interface Moment {
  readonly nowMs: number;
  readonly claims: Claims;
}

/**
 * Which models are where. The rest of the scheduler feeds what is resident; this decides what is, within the memory of each
 * pipeline, and never loads what nobody needs.
 *
 * ```
 *   waiting models, most urgent first      pipelines that may be given a load
 *   ─────────────────────────────────      ──────────────────────────────────
 *   starved   nobody has it          ──►   free memory, else whom eviction.ts names: at once, or when these have drained
 *   replica   its queue is long      ──►   an idle one with room, or with residents that are idle for good
 *   wanted    pinned, preloaded      ──►   those that it is missing from, while they have nothing better to do
 * ```
 * A pipeline loads one model at a time and is fed nothing meanwhile; so one that has realtime work is only asked to where no
 * other could be. A load that fails holds its model back for a while, longer each time, and touches no other.
 *
 * Cost: nothing while every model that is asked for is where it should be. Else a look at every waiting model and every
 * pipeline for each event that may have changed the answer.
 */
export class Placement {
  readonly #options: PlacementOptions;
  readonly #owner: PlacementOwner;
  readonly #moves: Moves;
  readonly #hosts = new Map<string, Host>();
  /** Announced and not gone, in the order of their announcement. */
  readonly #models = new Set<ModelState>();
  /** Those that may want something that they have not got. */
  readonly #waiting = new Set<ModelState>();
  #isDirty = false;
  /** When something will be possible that is not now. */
  #nextAtMs = Infinity;

  constructor(options: PlacementOptions, owner: PlacementOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#moves = new Moves({ ...owner, opened: (host) => this.opened(host) });
  }

  get nextAtMs(): number {
    return this.#nextAtMs;
  }

  announce(model: ModelState, spec: ModelSpec): void {
    model.place.announced(spec);
    this.#models.add(model);
    this.#share();
    this.#want(model);
  }

  #want(model: ModelState): void {
    if (isKept(model) && model.place.mayBeLoaded)
      for (const host of this.#hosts.values())
        if (!host.residents.has(model.model)) model.place.wantedOn.add(host);
    this.#owner.touch(model);
  }

  retire(model: ModelState): void {
    const { place } = model;
    place.spec = null;
    place.isGone = true;
    place.wantedOn.clear();
    this.#models.delete(model);
    this.#share();
    this.#owner.touch(model);
  }

  /** What each model counts with on each pipeline, and whether it has room on any: after all that may change it. */
  #share(): void {
    const sized = [...this.#models].map(({ model, place }) => {
      const { bytes, leastBytes, isPinned } = place;
      return { model, bytes, leastBytes, isPinned };
    });
    const byCapacity = new Map<number, ReadonlyMap<string, MemoryShare>>();
    for (const host of this.#hosts.values()) {
      const bytes = host.spec.modelMemoryBytesMax;
      const shares = byCapacity.get(bytes) ?? memoryShares(sized, bytes);
      byCapacity.set(bytes, shares);
      host.shares = shares;
    }
    // Without a pipeline nothing is known that was not known before.
    if (this.#hosts.size > 0) for (const model of this.#models) this.#judgeSize(model);
  }

  #judgeSize(model: ModelState): void {
    const { place } = model;
    const shares = [...this.#hosts.values()].flatMap((host) => host.shares.get(model.model) ?? []);
    const mostBytes = Math.max(...shares.map((share) => share.mostBytes));
    const isTooLarge = shares.every((share) => share.isTooLarge);
    const reason = isTooLarge ? tooLargeReason(place.leastBytes, mostBytes) : null;
    if (reason === place.tooLarge) return;
    const wasTooLarge = place.tooLarge !== null;
    this.#isDirty = true;
    place.tooLarge = reason;
    if (isTooLarge) {
      place.wantedOn.clear();
      this.#hold(model, { untilMs: Infinity });
    } else if (wasTooLarge) {
      this.#hold(model, { untilMs: -Infinity });
      this.#want(model);
    }
    this.#owner.touch(model);
  }

  hostUp(spec: HostSpec): void {
    const { pipelineId } = spec;
    assertScheduler(!this.#hosts.has(pipelineId), `${pipelineId} came up twice`);
    const host = new Host(spec);
    this.#hosts.set(pipelineId, host);
    this.#share();
    for (const model of this.#models) {
      const { place } = model;
      if (!isKept(model) || !place.mayBeLoaded || !place.isWorthTrying) continue;
      place.wantedOn.add(host);
      this.#owner.touch(model);
    }
    this.#wakeAll();
  }

  /** What it hosted is its owner's to take down. */
  hostDown(
    { pipelineId, loading }: Extract<SchedulerEvent, { type: "pipeline-down" }>,
    nowMs: number,
  ): Host {
    const host = this.host(pipelineId);
    const lost = host.load?.model;
    this.#hosts.delete(pipelineId);
    this.#share();
    for (const coming of [host.load?.model, host.plan?.model]) {
      coming?.place.comingTo.delete(host);
      if (coming) this.#owner.touch(coming);
    }
    for (const model of this.#models) model.place.wantedOn.delete(host);
    if (lost !== undefined && loading?.model === lost.model) {
      const { place } = lost;
      place.failure = loading.reason;
      // Once, somebody may have meant the process and not the model.
      if (loading.isFault || place.forgaveOutside) {
        this.#failed(lost, { reason: loading.reason, isBroken: false }, nowMs);
        place.deaths += 1;
        // What keeps ending processes is tried where somebody asks for it, and not everywhere and for ever.
        if (!place.isWorthTrying) place.wantedOn.clear();
      } else place.forgaveOutside = true;
    }
    this.#wakeAll();
    return host;
  }

  host(pipelineId: string): Host {
    const host = this.#hosts.get(pipelineId);
    assertScheduler(host !== undefined, `${pipelineId} is not up`);
    return host;
  }

  loaded(
    event: Extract<SchedulerEvent, { type: "loaded" }>,
    model: ModelState,
    nowMs: number,
  ): void {
    const { host, rowsMax } = this.#endLoad(event.pipelineId, model);
    const { place } = model;
    const hadFailed = place.failures > 0;
    place.loaded(event.bytes, event.ms);
    const { pipelineId, kind } = host.spec;
    const mode = model.mode;
    const capacity = { pipelineId, model: model.model, kind, mode, rowsMax };
    const resident = new FedPipeline(capacity, { host, model, nowMs });
    host.residents.set(model.model, resident);
    model.pipelineUp(resident);
    this.#share();
    // It was given up where it is to stay, and can be loaded after all.
    if (hadFailed && place.isPinned) this.#want(model);
    if (host.freeBytes < 0) this.#shed(host, resident, nowMs);
    this.opened(host);
  }

  loadFailed(
    { pipelineId, reason, isBroken = false }: Extract<SchedulerEvent, { type: "load-failed" }>,
    model: ModelState,
    nowMs: number,
  ): void {
    const { host } = this.#endLoad(pipelineId, model);
    this.#failed(model, { reason, isBroken }, nowMs);
    if (model.place.isPinned && model.place.mayBeLoaded) model.place.wantedOn.add(host);
    this.opened(host);
  }

  #failed(model: ModelState, failure: LoadFailure, nowMs: number): void {
    const { place } = model;
    const { loadBackoffMinMs, loadBackoffMaxMs } = this.#options;
    const backoffMs = loadBackoffMinMs * 2 ** Math.min(place.failures, 40);
    place.failed(failure, nowMs + Math.min(loadBackoffMaxMs, backoffMs));
    if (!place.isWorthTrying) place.wantedOn.clear();
    const isNowhere = model.pipelines.length + place.comingTo.size === 0;
    if (place.isGivenUp(nowMs) && isNowhere) this.#hold(model, { untilMs: place.heldUntilMs });
    this.#owner.touch(model);
  }

  #endLoad(pipelineId: string, model: ModelState): { host: Host; rowsMax: number } {
    const host = this.host(pipelineId);
    const { load } = host;
    assertScheduler(
      load?.model === model,
      `${pipelineId} speaks of a load of ${model.model}, which it was not asked for`,
    );
    host.load = null;
    model.place.comingTo.delete(host);
    return { host, rowsMax: load.rowsMax };
  }

  /** The host may be fed again: it has loaded, or suspects are through with it. */
  opened(host: Host): void {
    for (const { model } of host.residents.values()) this.#owner.touch(model);
    this.#wakeAll();
  }

  /**
   * A pipeline serves a class that it is not meant for, because none that is has the model: so that it need not for long, one
   * of those loads it when it has nothing better to do.
   */
  guests({ host, model }: FedPipeline, workClass: WorkClass): void {
    const { place } = model;
    if (host.isMeantFor(workClass) || place.wantedOn.size + place.comingTo.size > 0) return;
    if (!place.mayBeLoaded || !place.isWorthTrying) return;
    for (const other of this.#hosts.values()) {
      if (!other.isMeantFor(workClass) || other.bytesFor(model) > other.freeBytes) continue;
      place.wantedOn.add(other);
      this.#owner.touch(model);
      return;
    }
  }

  /** Something that was in flight there is not any more. */
  released(resident: FedPipeline): void {
    const { host } = resident;
    if (host.items === 0 && host.reservedFor !== null) this.#owner.touch(host.reservedFor);
    const isFreer = resident.inFlight === 0 || host.inFlight.realtime === 0;
    if (isFreer && (this.#waiting.size > 0 || this.#isAnyPlanned())) this.#isDirty = true;
    if (resident.model.place.isGone && resident.inFlight === 0) this.#owner.touch(resident.model);
  }

  #isAnyPlanned(): boolean {
    for (const { plan } of this.#hosts.values()) if (plan !== null) return true;
    return false;
  }

  #wakeAll(): void {
    this.#isDirty = true;
    for (const model of this.#waiting) this.#owner.touch(model);
  }

  /** After the model was fed: what it has not got. */
  look(model: ModelState, nowMs: number): void {
    const { place } = model;
    if (place.isGone) this.#letGo(model, nowMs);
    // Its callers may just have left, so that it is idle now, and in somebody's way.
    if (this.#waiting.size > 0 && !model.isAskedFor) this.#isDirty = true;
    const need = needOf(model, this.#hosts, this.#options);
    if (need === null) this.#waiting.delete(model);
    else {
      this.#waiting.add(model);
      this.#isDirty = true;
    }
  }

  /** Whether those who wait for it wait in vain, so that they are told. */
  isHopeless({ place, pipelines }: ModelState, nowMs: number): boolean {
    if (pipelines.length > 0 || place.comingTo.size > 0) return false;
    return place.isGivenUp(nowMs);
  }

  /** Gives loads to pipelines. Models that are touched by it want to be looked at again. */
  place(nowMs: number): void {
    if (!this.#isDirty && nowMs < this.#nextAtMs) return;
    this.#isDirty = false;
    this.#nextAtMs = Infinity;
    for (const host of this.#hosts.values())
      if (host.plan !== null) this.#moves.review(host, nowMs);
    const now: Moment = { nowMs, claims: new Claims() };
    for (const model of this.#byUrgency(nowMs)) {
      const need = needOf(model, this.#hosts, this.#options);
      if (need === null) this.#waiting.delete(model);
      else if (this.#mayLoad(model, nowMs)) this.#serve(model, need, now);
    }
    for (const host of this.#hosts.values()) this.#goElsewhere(host, now);
  }

  /** Who waits until others have drained goes where it can go at once, when a pipeline comes up or is through with what it had. */
  #goElsewhere(host: Host, now: Moment): void {
    const { nowMs } = now;
    const { plan } = host;
    if (plan === null || plan.model === null || plan.isWanted) return;
    const { model } = plan;
    const classes = workClasses.filter((each) => model.queuedOf(each) > 0);
    const servers = classes
      .map((each) => serversOf(each, this.#hosts.values()))
      .filter((serves) => serves(host));
    const best = this.#bestFor(
      model,
      now,
      ({ host: other, eviction: { atMs, victims } }) =>
        servers.every((serves) => serves(other)) &&
        other.inFlight.realtime === 0 &&
        atMs <= nowMs &&
        victims.every(({ inFlight }) => inFlight === 0),
    );
    if (best === null) return;
    const { victims } = best.eviction;
    this.#moves.giveUp(host, plan);
    this.#moves.bring(model, best.host, { victims, isWanted: false, nowMs });
  }

  #byUrgency(nowMs: number): readonly ModelState[] {
    if (this.#waiting.size < 2) return [...this.#waiting];
    const { ageLimitMs } = this.#options;
    const rankOf = (model: ModelState): number => {
      const need = needOf(model, this.#hosts, this.#options);
      if (need?.kind !== "starved") return need?.kind === "replica" ? 2 : 3;
      const isUrgent = model.queuedOf("realtime") > 0 || nowMs - model.oldestMs > ageLimitMs;
      return isUrgent ? 0 : 1;
    };
    return [...this.#waiting]
      .map((model) => ({ model, rank: rankOf(model), sinceMs: model.waitsSinceMs(nowMs) }))
      .sort(
        (a, b) => a.rank - b.rank || a.sinceMs - b.sinceMs || a.model.sequence - b.model.sequence,
      )
      .map(({ model }) => model);
  }

  #mayLoad({ place }: ModelState, nowMs: number): boolean {
    if (place.heldUntilMs <= nowMs) return true;
    this.#wakeAt(place.heldUntilMs);
    return false;
  }

  /** What the door is told of it; `-Infinity`: that it may be let in again. */
  #hold({ model, place }: ModelState, { untilMs }: { readonly untilMs: number }): void {
    const { fault } = place;
    const reason = place.reason ?? "there is room for it now";
    const hold = { type: "hold", model, untilMs, reason } as const;
    this.#owner.decide(fault === null ? hold : { ...hold, fault });
  }

  #serve(model: ModelState, need: Need, now: Moment): void {
    switch (need.kind) {
      case "starved":
        for (const each of need.classes)
          if (each === null || !isServed(model, each, this.#hosts.values()))
            this.#feedStarved(model, each, now);
        return;
      case "replica":
        this.#replicate(model, now);
        return;
      case "wanted":
        for (const host of model.place.wantedOn) this.#bringWanted(model, host, now);
        return;
    }
  }

  /** Of the pipelines that it may go to, and where nobody who waited longer is in the way. */
  #bestFor(
    model: ModelState,
    { nowMs, claims }: Moment,
    may: (candidate: Candidate) => boolean,
  ): Candidate | null {
    const waitsSinceMs = model.waitsSinceMs(nowMs);
    const options = { nowMs, waitsSinceMs, ageLimitMs: this.#options.ageLimitMs, idleOnly: false };
    let best: Candidate | null = null;
    for (const host of this.#hosts.values()) {
      if (!host.isOpen || host.residents.has(model.model)) continue;
      const eviction = evictionFor(host, model, options);
      if (eviction === null) continue;
      const candidate = { host, eviction };
      if (!may(candidate) || !claims.leaves(candidate, model)) continue;
      if (best === null || isBetter(candidate, best)) best = candidate;
    }
    return best;
  }

  #feedStarved(model: ModelState, workClass: WorkClass | null, now: Moment): void {
    const { nowMs, claims } = now;
    const serves = serversOf(workClass, this.#hosts.values());
    const best = this.#bestFor(model, now, ({ host }) => serves(host));
    if (best === null) return;
    const { host, eviction } = best;
    // Realtime that runs there would wait for the load; mostly it is through soon.
    const quietAtMs =
      host.inFlight.realtime > 0
        ? model.waitsSinceMs(nowMs) + this.#options.realtimeTargetMs
        : nowMs;
    const atMs = Math.max(eviction.atMs, quietAtMs);
    if (atMs > nowMs) {
      this.#wakeAt(atMs);
      claims.claim(best);
    } else this.#moves.bring(model, host, { victims: eviction.victims, isWanted: false, nowMs });
  }

  #replicate(model: ModelState, { nowMs, claims }: Moment): void {
    const options = { nowMs, waitsSinceMs: nowMs, ageLimitMs: Infinity, idleOnly: true };
    for (const host of this.#hosts.values()) {
      if (!host.isOpen || host.items > 0 || claims.isClaimed(host)) continue;
      if (host.residents.has(model.model)) continue;
      if (!host.meantFor.some((each) => model.queuedOf(each) > 0)) continue;
      const eviction = evictionFor(host, model, options);
      if (eviction === null || eviction.atMs > nowMs) continue;
      this.#moves.bring(model, host, { victims: eviction.victims, isWanted: false, nowMs });
      return;
    }
  }

  /** Not where it keeps others waiting. Who is only preloaded takes no place from anybody. */
  #bringWanted(model: ModelState, host: Host, { nowMs, claims }: Moment): void {
    const { place } = model;
    if (host.residents.has(model.model)) place.wantedOn.delete(host);
    const isClaimed = !place.isPinned && claims.isClaimed(host);
    const isBusy = isClaimed || (place.isPinned ? host.inFlight.realtime > 0 : host.items > 0);
    if (!host.isOpen || isBusy || !place.wantedOn.has(host)) return;
    const options = { nowMs, waitsSinceMs: nowMs, ageLimitMs: Infinity, idleOnly: false };
    const eviction = evictionFor(host, model, options);
    const mayEvict = place.isPinned || eviction?.victims.length === 0;
    if (eviction === null || !mayEvict) {
      if (!place.isPinned) place.wantedOn.delete(host);
    } else if (eviction.atMs > nowMs) this.#wakeAt(eviction.atMs);
    else this.#moves.bring(model, host, { victims: eviction.victims, isWanted: true, nowMs });
  }

  #wakeAt(atMs: number): void {
    this.#nextAtMs = Math.min(this.#nextAtMs, atMs);
  }

  /** It turned out to be larger than was thought: others go, unless what is gone makes the room by itself, the newest among it. */
  #shed(host: Host, newest: FedPipeline, nowMs: number): void {
    const residents = [...host.residents.values()];
    const going = residents.filter((each) => each.model.place.isGone && this.#isFree(each, nowMs));
    const others = residents
      .filter((each) => each !== newest && !each.model.place.isPinned && !going.includes(each))
      .sort((a, b) => a.usedAtMs - b.usedAtMs);
    const victims: FedPipeline[] = [];
    let overBytes = -host.freeBytes;
    for (const { model } of going) overBytes -= host.bytesFor(model);
    for (const other of others) {
      if (overBytes <= 0) break;
      victims.push(other);
      overBytes -= host.bytesFor(other.model);
    }
    if (victims.length > 0) this.#moves.makeRoom(host, victims);
  }

  /** A model that is gone leaves each pipeline when nothing of it is left to do. */
  #letGo(model: ModelState, nowMs: number): void {
    for (const resident of model.pipelines.slice()) {
      if (!this.#isFree(resident, nowMs)) continue;
      this.#moves.unload(resident, nowMs);
      this.#wakeAll();
    }
  }

  /** Nothing of its model is left to do on it. */
  #isFree(resident: FedPipeline, nowMs: number): boolean {
    const { model, host } = resident;
    if (model.isAskedFor && !this.isHopeless(model, nowMs)) return false;
    const isPlanned = host.plan?.victims.includes(resident) ?? false;
    return resident.inFlight === 0 && host.reservedFor !== model && !isPlanned;
  }
}

function isKept({ place }: ModelState): boolean {
  return place.spec !== null && place.spec.keep !== "on-demand";
}
