import type { Candidate } from "./eviction.js";
import type { FedPipeline } from "./fed-pipeline.js";
import type { Host } from "./host.js";
import type { ModelState } from "./model-state.js";

/**
 * Who waited longest has the next place: what it waits for, because others there have not stayed long enough yet, no one takes
 * who waited less. Without that a model whose load is cheap, or whose queue pays for it, is always ready to go before one
 * whose load is dear, and the place that this one waits for begins a new stay each time.
 */
export class Claims {
  readonly #victims = new Map<Host, Set<FedPipeline>>();

  claim({ host, eviction }: Candidate): void {
    const claimed = this.#victims.get(host) ?? new Set();
    this.#victims.set(host, claimed);
    for (const victim of eviction.victims) claimed.add(victim);
  }

  isClaimed(host: Host): boolean {
    return this.#victims.has(host);
  }

  /** Whether the model may go there before those who claimed the host: in the place of others, and of no memory beside. */
  leaves({ host, eviction }: Candidate, model: ModelState): boolean {
    const claimed = this.#victims.get(host);
    if (claimed === undefined) return true;
    if (eviction.victims.some((victim) => claimed.has(victim))) return false;
    const freedBytes = eviction.victims.reduce((sum, each) => sum + host.bytesFor(each.model), 0);
    return freedBytes >= host.bytesFor(model);
  }
}
