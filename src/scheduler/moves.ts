import type { FedPipeline } from "./fed-pipeline.js";
import type { Host, HostPlan } from "./host.js";
import type { ModelState } from "./model-state.js";
import type { Decision } from "./types.js";

export interface MovesOwner {
  /** Its state changed, so that it is looked at again. */
  readonly touch: (model: ModelState) => void;
  readonly decide: (decision: Decision) => void;
  /** The host may be fed again. */
  readonly opened: (host: Host) => void;
}

/**
 * How what placement.ts decided is carried out on a pipeline: victims drain, then they are unloaded, then the load begins.
 *
 *   bring ──► plan ── victims drained ──► unload … load ──► (placement hears how it ended)
 *               └── nobody wants it any more ──► given up, the victims stay
 */
export class Moves {
  readonly #owner: MovesOwner;

  constructor(owner: MovesOwner) {
    this.#owner = owner;
  }

  /** It is loaded there when the victims of the plan have drained. */
  bring(
    model: ModelState,
    host: Host,
    { nowMs, ...plan }: Omit<HostPlan, "model"> & { readonly nowMs: number },
  ): void {
    const { victims } = plan;
    host.plan = { model, ...plan };
    model.place.comingTo.add(host);
    model.place.wantedOn.delete(host);
    this.#leave(victims);
    this.review(host, nowMs);
  }

  /** These go as soon as they have drained, and nobody comes instead. */
  makeRoom(host: Host, victims: readonly FedPipeline[]): void {
    host.plan = { model: null, victims, isWanted: true };
    this.#leave(victims);
  }

  #leave(victims: readonly FedPipeline[]): void {
    for (const victim of victims) {
      victim.leaving = true;
      this.#owner.touch(victim.model);
    }
  }

  /** A plan is carried out when its victims have drained, and given up when nobody wants it any more. */
  review(host: Host, nowMs: number): void {
    const { plan } = host;
    if (plan === null || host.load !== null || host.reservedFor !== null) return;
    const { model, victims } = plan;
    const isOfUse =
      model === null || (model.place.mayBeLoaded && (model.isAskedFor || plan.isWanted));
    if (!isOfUse) return this.giveUp(host, plan);
    if (victims.some(({ inFlight }) => inFlight > 0)) return;
    for (const victim of victims) this.unload(victim, nowMs);
    host.plan = null;
    if (model === null) return this.#owner.opened(host);
    const { rowsMax } = model.place;
    const { pipelineId } = host.spec;
    host.load = { model, rowsMax };
    this.#owner.decide({ type: "load", pipelineId, model: model.model, rowsMax });
  }

  /** The victims stay, and are fed again. */
  giveUp(host: Host, { model, victims }: HostPlan): void {
    host.plan = null;
    for (const victim of victims) victim.leaving = false;
    if (model !== null) {
      model.place.comingTo.delete(host);
      this.#owner.touch(model);
    }
    this.#owner.opened(host);
  }

  unload(resident: FedPipeline, nowMs: number): void {
    const { host, model } = resident;
    host.residents.delete(model.model);
    model.pipelineDown(resident);
    model.place.evictions += 1;
    model.place.leftAtMs = nowMs;
    const { pipelineId } = host.spec;
    this.#owner.decide({ type: "unload", pipelineId, model: model.model });
    this.#owner.touch(model);
  }
}
