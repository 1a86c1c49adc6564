/**
 * An account of which model is where, of what was asked to be loaded and why, that shares no code with the placement. Told of
 * every event before the step, and of every decision after it.
 */
import type { Decision, HostSpec, ModelSpec, SchedulerEvent } from "#src/scheduler/types.js";
import { fail, type Item } from "./scheduler-account.js";

interface Model {
  spec: ModelSpec;
  gone: boolean;
  failures: number;
  forgiven: boolean;
  heldUntilMs: number;
  measured: number | null;
  /** It was told to be no longer asked for, until then. */
  toldUntilMs: number;
}

interface Resident {
  readonly sinceMs: number;
  dispatched: number;
}

interface Host {
  readonly spec: HostSpec;
  readonly residents: Map<string, Resident>;
  load: string | null;
  /** Kept models that it was told to load since it came up. */
  readonly tried: Set<string>;
}

export interface HostingOptions {
  readonly loadBackoffMinMs: number;
  readonly loadBackoffMaxMs: number;
}

/** What the rest of the checker knows. */
export interface Demand {
  /** Items of the model that are queued, or wait to run alone. */
  waiting(model: string): readonly Item[];
  inFlight(pipelineId: string, model: string): number;
}

export class HostingAccount {
  readonly #options: HostingOptions;
  readonly #demand: Demand;
  readonly #models = new Map<string, Model>();
  readonly #hosts = new Map<string, Host>();
  /** Whose callers may have been told that it cannot be loaded, or is gone. */
  readonly #guests = new Set<string>();
  readonly #givenUp = new Set<string>();
  /** Nobody is let in any more; they leave when those who were are queued. */
  readonly #retired = new Set<string>();

  constructor(options: HostingOptions, demand: Demand) {
    this.#options = options;
    this.#demand = demand;
  }

  /** What the door must think. */
  canServe(model: string, nowMs: number): boolean {
    const hosts = [...this.#hosts.values()];
    if (this.#retired.has(model)) return false;
    if (hosts.some(({ residents }) => residents.has(model))) return true;
    return hosts.length > 0 && (this.#models.get(model)?.toldUntilMs ?? 0) <= nowMs;
  }

  /** Pinned models that could be on each pipeline are. */
  get isSettled(): boolean {
    for (const host of this.#hosts.values()) {
      for (const [name, model] of this.#models) {
        const isDue = model.spec.keep === "pinned" && !model.gone && model.failures === 0;
        if (isDue && !host.residents.has(name) && this.#fits(name, host)) return false;
      }
    }
    return true;
  }

  isResident(pipelineId: string, model: string): boolean {
    return this.#hosts.get(pipelineId)?.residents.has(model) ?? false;
  }

  /** A model that is not on this pipeline is waited for, and there is not room for all: what is here may have to go. */
  isContested(pipelineId: string): boolean {
    const host = this.#hosts.get(pipelineId);
    if (host === undefined) return false;
    const all = [...this.#models.keys()].reduce((bytes, name) => bytes + this.#bytes(name), 0);
    if (all <= host.spec.modelMemoryBytesMax) return false;
    if (this.#usedBytes(host) > host.spec.modelMemoryBytesMax) return true;
    for (const name of this.#models.keys())
      if (!host.residents.has(name) && this.#demand.waiting(name).length > 0) return true;
    return [...this.#models.values()].some(({ spec }) => spec.keep === "pinned");
  }

  isLoading(pipelineId: string): boolean {
    return (this.#hosts.get(pipelineId)?.load ?? null) !== null;
  }

  fed(pipelineId: string, model: string, workClass: "realtime" | "bulk"): void {
    const host = this.#hosts.get(pipelineId);
    const resident = host?.residents.get(model);
    if (resident !== undefined) resident.dispatched += 1;
    // A guest there; its own pipelines may want the model for the next one.
    if (host !== undefined && host.spec.kind !== "shared" && host.spec.kind !== workClass)
      this.#guests.add(model);
  }

  before(event: SchedulerEvent, nowMs: number): void {
    switch (event.type) {
      case "model":
        this.#models.set(event.model.model, {
          spec: event.model,
          gone: false,
          failures: 0,
          forgiven: false,
          heldUntilMs: -Infinity,
          measured: null,
          toldUntilMs: -Infinity,
        });
        return;
      case "model-gone":
        this.#model(event.model).gone = true;
        // What had no room beside it may be brought again.
        for (const { tried } of this.#hosts.values()) tried.clear();
        return;
      case "pipeline-up": {
        const { pipeline: spec } = event;
        const host = { spec, residents: new Map(), load: null, tried: new Set<string>() };
        this.#hosts.set(spec.pipelineId, host);
        return;
      }
      case "pipeline-down": {
        const { pipelineId, loading } = event;
        this.#hosts.delete(pipelineId);
        if (loading) this.#failed(this.#model(loading.model), loading.isFault, nowMs);
        return;
      }
      case "loaded":
        this.#loaded(event, nowMs);
        return;
      case "load-failed":
        this.#host(event.pipelineId).load = null;
        this.#failed(this.#model(event.model), true, nowMs);
        return;
      case "cancel":
      case "measured":
      case "request":
      case "returned":
      case "settled":
      case "tick":
        return;
    }
  }

  #loaded(event: Extract<SchedulerEvent, { type: "loaded" }>, nowMs: number): void {
    const host = this.#host(event.pipelineId);
    const model = this.#model(event.model);
    host.load = null;
    host.residents.set(event.model, { sinceMs: nowMs, dispatched: 0 });
    const { bytes } = event;
    Object.assign(model, { failures: 0, forgiven: false, heldUntilMs: -Infinity });
    Object.assign(model, { toldUntilMs: -Infinity });
    model.measured = Math.min(bytes, model.measured ?? Infinity);
  }

  #failed(model: Model, isFault: boolean, nowMs: number): void {
    if (!isFault && !model.forgiven) {
      model.forgiven = true;
      return;
    }
    const { loadBackoffMinMs, loadBackoffMaxMs } = this.#options;
    const waitMs = Math.min(loadBackoffMaxMs, loadBackoffMinMs * 2 ** model.failures);
    model.failures += 1;
    model.heldUntilMs = nowMs + waitMs;
  }

  after(decision: Decision, nowMs: number): void {
    switch (decision.type) {
      case "load":
        this.#load(this.#host(decision.pipelineId), decision.model, nowMs);
        return;
      case "unload":
        this.#unload(decision.pipelineId, decision.model, nowMs);
        return;
      case "hold":
        if (decision.untilMs > nowMs) this.#givesUp(decision.model);
        this.#model(decision.model).toldUntilMs = decision.untilMs;
        return;
      case "abandon":
      case "cancel":
      case "dispatch":
      case "expire":
      case "recall":
      case "wake":
        return;
    }
  }

  retired(model: string): void {
    this.#retired.add(model);
  }

  /** Those who wait were told that they wait in vain. */
  abandoned(model: string): void {
    this.#givesUp(model);
    this.#givenUp.add(model);
  }

  isGivenUp(model: string): boolean {
    return this.#givenUp.has(model) || this.#retired.has(model);
  }

  #givesUp(name: string): void {
    const { gone, failures } = this.#model(name);
    const hosts = [...this.#hosts.values()];
    const isSomewhere = hosts.some(({ residents }) => residents.has(name));
    const isTooLarge = hosts.every((host) => !this.#fits(name, host));
    if (isSomewhere || (!gone && failures < 2 && !isTooLarge))
      fail("only who cannot be loaded is given up", `${name} after ${failures} failures`);
  }

  #load(host: Host, name: string, nowMs: number): void {
    const { pipelineId, modelMemoryBytesMax } = host.spec;
    const model = this.#model(name);
    const what = `${name} on ${pipelineId}`;
    if (host.residents.has(name)) fail("what is there is not loaded again", what);
    if (host.load !== null) fail("a pipeline loads one model at a time", `${what}, ${host.load}`);
    if (model.gone) fail("only what is served is loaded", what);
    if (model.heldUntilMs > nowMs) fail("a load that failed is not tried at once", what);
    const used = this.#usedBytes(host) + this.#bytes(name);
    if (used > modelMemoryBytesMax)
      fail("models stay within a pipeline's memory", `${used} of ${modelMemoryBytesMax}: ${what}`);
    const isKept = model.spec.keep === "pinned" || !host.tried.has(name);
    const isWanted = model.spec.keep !== "on-demand" && isKept;
    if (!isWanted && !this.#guests.has(name) && this.#demand.waiting(name).length === 0)
      fail("a load serves somebody", what);
    host.tried.add(name);
    host.load = name;
  }

  #unload(pipelineId: string, name: string, nowMs: number): void {
    const host = this.#host(pipelineId);
    const what = `${name} on ${pipelineId}`;
    const resident = host.residents.get(name);
    const model = this.#model(name);
    if (resident === undefined) return fail("only what is loaded is fed", `${what} is unloaded`);
    if (this.#demand.inFlight(pipelineId, name) > 0) fail("what is in use is not unloaded", what);
    host.residents.delete(name);
    if (model.gone) return;
    if (model.spec.keep === "pinned" && this.#fits(name, host)) fail("a pinned model stays", what);
    const wasOver = this.#usedBytes(host) + this.#bytes(name) > host.spec.modelMemoryBytesMax;
    if (wasOver || !this.#fits(name, host)) return;
    const isElsewhere = [...this.#hosts.values()].some(({ residents }) => residents.has(name));
    if (isElsewhere || this.#demand.waiting(name).length === 0) return;
    // Somebody waits for it, and it goes: then it was of use for a while before.
    if (resident.dispatched === 0 || nowMs - resident.sinceMs < stayMsMin)
      fail("models do not chase each other out", `${what} after ${nowMs - resident.sinceMs} ms`);
  }

  /** After each step: nobody waits beside a pipeline that has nothing at all to do. */
  checkIdle(nowMs: number): void {
    for (const [name, model] of this.#models) {
      if (model.gone || model.heldUntilMs > nowMs || model.toldUntilMs > nowMs) continue;
      const waiting = this.#demand.waiting(name);
      const hosts = [...this.#hosts.values()];
      const isComing = hosts.some((host) => host.load === name || host.residents.has(name));
      if (waiting.length === 0 || isComing) continue;
      const [first] = waiting;
      const workClass = first?.request.class ?? "bulk";
      const isMeant = ({ spec }: Host): boolean =>
        spec.kind === "shared" || spec.kind === workClass;
      const able = hosts.some(isMeant) ? hosts.filter(isMeant) : hosts;
      for (const host of able)
        if (this.#isIdle(host) && this.#fits(name, host))
          fail(
            "no idle pipeline beside a model that is waited for",
            `${name} and ${host.spec.pipelineId}`,
          );
    }
  }

  /** Nothing runs there, nothing comes, and nothing that it hosts was in steady use. */
  #isIdle(host: Host): boolean {
    if (host.load !== null) return false;
    for (const [name, { dispatched }] of host.residents) {
      const isUsed = this.#demand.inFlight(host.spec.pipelineId, name) > 0 || dispatched >= 4;
      if (isUsed || this.#demand.waiting(name).length > 0) return false;
    }
    return true;
  }

  #bytes(name: string): number {
    const { spec, measured } = this.#model(name);
    return Math.max(spec.bytes, measured ?? 0);
  }

  #usedBytes(host: Host): number {
    let bytes = host.load === null ? 0 : this.#bytes(host.load);
    for (const name of host.residents.keys()) bytes += this.#bytes(name);
    return bytes;
  }

  /** Beside all that is pinned; of those that are, the first ones as far as they fit together. */
  #fits(name: string, host: Host): boolean {
    let left = host.spec.modelMemoryBytesMax;
    for (const [other, { spec, gone }] of this.#models) {
      if (spec.keep !== "pinned" || gone) continue;
      if (other === name) break;
      if (this.#bytes(other) <= left) left -= this.#bytes(other);
    }
    return this.#bytes(name) <= left;
  }

  #model(name: string): Model {
    return this.#models.get(name) ?? fail("only what is served is loaded", `there is no ${name}`);
  }

  #host(pipelineId: string): Host {
    return (
      this.#hosts.get(pipelineId) ?? fail("only what is loaded is fed", `${pipelineId} is not up`)
    );
  }
}

/** Less than any change of models costs here, and more than an instant. */
const stayMsMin = 50;
