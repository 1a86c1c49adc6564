/**
 * An account of which model is where, of what was asked to be loaded and why, that shares no code with the placement. Told of
 * every event before the step, and of every decision after it.
 */
import type { ErrorCode } from "millrace-client/wire";
import type {
  Decision,
  HostSpec,
  LoadFault,
  ModelSpec,
  SchedulerEvent,
} from "#src/scheduler/types.js";
import { fail, type Item } from "./scheduler-account.js";

interface Model {
  spec: ModelSpec;
  gone: boolean;
  failures: number;
  /** Its folder is at fault, as the last load said. */
  broken: boolean;
  forgiven: boolean;
  heldUntilMs: number;
  measured: number | null;
  /** It was told to be no longer asked for, until then. */
  toldUntilMs: number;
  toldFault: LoadFault | null;
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
  /** What their callers were told. */
  readonly #givenUp = new Map<string, Set<ErrorCode>>();
  /** Nobody is let in any more; they leave when those who were are queued. */
  readonly #retired = new Set<string>();

  constructor(options: HostingOptions, demand: Demand) {
    this.#options = options;
    this.#demand = demand;
  }

  /** What the door must say; null: it lets in. */
  refusal(name: string, nowMs: number): ErrorCode | null {
    const hosts = [...this.#hosts.values()];
    const { gone, toldUntilMs, toldFault } = this.#model(name);
    if (gone || this.#retired.has(name)) return "not_ready";
    if (hosts.some(({ residents }) => residents.has(name))) return null;
    const isHeld = toldUntilMs > nowMs;
    if (isHeld && toldFault === "too-large") return "model_too_large";
    if (hosts.length === 0) return "not_ready";
    return isHeld ? codeOf(toldFault) : null;
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
    const all = [...this.#models.keys()].reduce((bytes, name) => bytes + this.#wholeBytes(name), 0);
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
          broken: false,
          forgiven: false,
          heldUntilMs: -Infinity,
          measured: null,
          toldUntilMs: -Infinity,
          toldFault: null,
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
        if (loading) this.#failed(this.#model(loading.model), loading, nowMs);
        return;
      }
      case "loaded":
        this.#loaded(event, nowMs);
        return;
      case "load-failed":
        this.#host(event.pipelineId).load = null;
        this.#failed(this.#model(event.model), { isFault: true, ...event }, nowMs);
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
    Object.assign(model, { failures: 0, broken: false, forgiven: false, heldUntilMs: -Infinity });
    if (model.toldFault !== "too-large")
      Object.assign(model, { toldUntilMs: -Infinity, toldFault: null });
    model.measured = Math.min(bytes, model.measured ?? Infinity);
  }

  #failed(
    model: Model,
    { isFault, isBroken = false }: { readonly isFault: boolean; readonly isBroken?: boolean },
    nowMs: number,
  ): void {
    if (!isFault && !model.forgiven) {
      model.forgiven = true;
      return;
    }
    const { loadBackoffMinMs, loadBackoffMaxMs } = this.#options;
    const waitMs = Math.min(loadBackoffMaxMs, loadBackoffMinMs * 2 ** model.failures);
    model.failures += 1;
    model.broken = isBroken;
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
        if (decision.untilMs > nowMs) this.#givesUp(decision.model, decision.fault ?? null);
        this.#model(decision.model).toldUntilMs = decision.untilMs;
        this.#model(decision.model).toldFault = decision.fault ?? null;
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
  abandoned(model: string, fault: LoadFault | null): void {
    this.#givesUp(model, fault);
    const codes = this.#givenUp.get(model) ?? new Set();
    this.#givenUp.set(model, codes.add(codeOf(fault)));
  }

  isGivenUp(model: string, code: string): boolean {
    const isGone = this.#model(model).gone || this.#retired.has(model);
    if (code === "not_ready" && isGone) return true;
    return [...(this.#givenUp.get(model) ?? [])].some((each) => each === code);
  }

  #givesUp(name: string, fault: LoadFault | null): void {
    const { gone, failures, broken } = this.#model(name);
    const hosts = [...this.#hosts.values()];
    const isSomewhere = hosts.some(({ residents }) => residents.has(name));
    const isTooLarge = hosts.every((host) => !this.#fits(name, host));
    // Before the last process that has it is gone, it may be told that it will be too large for the next.
    const isTold = fault === "too-large" ? isTooLarge : !isSomewhere;
    const isReason = { "too-large": isTooLarge, broken, none: gone || failures >= 2 || broken };
    if (!isTold || !isReason[fault ?? "none"])
      fail("only who cannot be loaded is given up", `${name} after ${failures} failures: ${fault}`);
  }

  #load(host: Host, name: string, nowMs: number): void {
    const { pipelineId, modelMemoryBytesMax } = host.spec;
    const model = this.#model(name);
    const what = `${name} on ${pipelineId}`;
    if (host.residents.has(name)) fail("what is there is not loaded again", what);
    if (host.load !== null) fail("a pipeline loads one model at a time", `${what}, ${host.load}`);
    if (model.gone) fail("only what is served is loaded", what);
    if (model.heldUntilMs > nowMs) fail("a load that failed is not tried at once", what);
    const used = this.#usedBytes(host) + this.#bytes(name, host);
    if (used > modelMemoryBytesMax || !this.#fits(name, host))
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
    const used = this.#usedBytes(host) + this.#bytes(name, host);
    const wasOver = used > host.spec.modelMemoryBytesMax;
    if (wasOver || !this.#fits(name, host)) return;
    const isElsewhere = [...this.#hosts.values()].some(({ residents }) => residents.has(name));
    if (isElsewhere || this.#demand.waiting(name).length === 0) return;
    // Somebody waits for it, and it goes: then it was of use for a while before.
    if (resident.dispatched === 0 || nowMs - resident.sinceMs < stayMsMin)
      fail("models do not chase each other out", `${what} after ${nowMs - resident.sinceMs} ms`);
  }

  /** After each step: nobody waits beside a pipeline that has nothing at all to do, and nobody for what cannot be loaded. */
  checkIdle(nowMs: number): void {
    this.#checkTold(nowMs);
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

  #checkTold(nowMs: number): void {
    const hosts = [...this.#hosts.values()];
    // What drains may make room for a load that is decided already.
    const drains = hosts.some(({ spec, residents }) =>
      [...residents.keys()].some((each) => this.#demand.inFlight(spec.pipelineId, each) > 0),
    );
    if (hosts.length === 0 || drains) return;
    for (const [name, { broken, gone, heldUntilMs, toldFault }] of this.#models) {
      if (gone) continue;
      const isThere = hosts.some(({ load, residents }) => load === name || residents.has(name));
      const isTooLarge = hosts.every((host) => !this.#fits(name, host));
      if (isThere || !(isTooLarge || (broken && heldUntilMs > nowMs))) continue;
      const waiting = this.#demand.waiting(name).length;
      const isDoorTold = !isTooLarge || toldFault === "too-large";
      if (waiting > 0 || !isDoorTold)
        fail("nobody waits for what cannot be loaded", `${waiting} for ${name}, ${toldFault}`);
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

  /** What it is thought to take, if there were room for all of that. */
  #wholeBytes(name: string): number {
    const { spec, measured } = this.#model(name);
    return Math.max(spec.bytes, leastOf(spec), measured ?? 0);
  }

  /** What it counts with: not more than is left for it when all has gone that may. */
  #bytes(name: string, host: Host): number {
    const { spec, gone } = this.#model(name);
    const whole = this.#wholeBytes(name);
    const all = host.spec.modelMemoryBytesMax;
    if (gone || !this.#fits(name, host)) return Math.min(whole, all);
    const pinned = [...this.#pinned(host)];
    const others = [...this.#models].filter(([each, model]) => {
      return model.spec.keep !== "pinned" && !model.gone && this.#fits(each, host);
    });
    // The largest of the others keeps room for its files, and so do those that are pinned after this one.
    let left = all - Math.max(0, ...others.map(([, model]) => leastOf(model.spec)));
    for (const each of pinned) left -= leastOf(this.#model(each).spec);
    let taken = 0;
    for (const each of pinned) {
      const least = leastOf(this.#model(each).spec);
      const bytes = Math.min(this.#wholeBytes(each), least + left);
      if (each === name) return bytes;
      left -= bytes - least;
      taken += bytes;
    }
    return spec.keep === "pinned" ? whole : Math.min(whole, all - taken);
  }

  #usedBytes(host: Host): number {
    let bytes = host.load === null ? 0 : this.#bytes(host.load, host);
    for (const name of host.residents.keys()) bytes += this.#bytes(name, host);
    return bytes;
  }

  /** Those that are, the first ones as far as their files fit together. */
  *#pinned(host: Host): Generator<string> {
    let left = host.spec.modelMemoryBytesMax;
    for (const [name, { spec, gone }] of this.#models) {
      if (spec.keep !== "pinned" || gone || leastOf(spec) > left) continue;
      left -= leastOf(spec);
      yield name;
    }
  }

  /** By its files alone, beside all that is pinned: what was measured refuses nobody. */
  #fits(name: string, host: Host): boolean {
    const { spec } = this.#model(name);
    let left = host.spec.modelMemoryBytesMax;
    for (const other of this.#pinned(host)) {
      if (other === name) return true;
      left -= leastOf(this.#model(other).spec);
    }
    return spec.keep !== "pinned" && leastOf(spec) <= left;
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

function leastOf({ bytes, leastBytes = bytes }: ModelSpec): number {
  return leastBytes;
}

function codeOf(fault: LoadFault | null): ErrorCode {
  if (fault === "too-large") return "model_too_large";
  return fault === "broken" ? "model_folder_invalid" : "not_ready";
}

/** Less than any change of models costs here, and more than an instant. */
const stayMsMin = 50;
