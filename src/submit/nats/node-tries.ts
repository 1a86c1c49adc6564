/** To which node a request that goes whole goes next: pure, of who is there and of what became of it so far. */
import type { MillraceError } from "millrace-client/wire";
import { chooseNode, type NodeChoice } from "../../nats/choose-node.js";
import type { NodeCandidate } from "./known-models.js";

/** Nodes that may refuse a request, or lots of it, before it is refused. */
export const refusalsMax = 4;

export class NodeTries {
  readonly #attemptsMax: number;
  /** Those that refused it or were lost: another one is better. */
  readonly #tried = new Set<string>();
  #refusals = 0;
  #losses = 0;

  /** `attemptsMax`: how often it goes to a node in all, where nodes are lost under it. */
  constructor(attemptsMax: number) {
    this.#attemptsMax = attemptsMax;
  }

  get losses(): number {
    return this.#losses;
  }

  get isLostTooOften(): boolean {
    return this.#losses >= this.#attemptsMax;
  }

  /** Null: nobody. Those that were tried come again only where they are alone, and NATS says that they live. */
  choose(candidates: readonly NodeCandidate[], choice: NodeChoice): NodeCandidate | null {
    if (this.isLostTooOften || this.#refusals >= refusalsMax) return null;
    const all = candidates.filter(({ isLocal }) => !isLocal);
    const fresh = all.filter(({ instance }) => !this.#tried.has(instance));
    const isWorthAgain = fresh.length === 0 && this.#refusals === 0;
    return chooseNode(isWorthAgain ? all : fresh, choice);
  }

  /** It was asked, whatever became of that. */
  tried({ instance }: NodeCandidate): void {
    this.#tried.add(instance);
  }

  refused(): void {
    this.#refusals += 1;
  }

  lost(): void {
    this.#losses += 1;
  }
}

/** Another node may take what this one does not. */
export function isElsewhere({ code }: Pick<MillraceError, "code">): boolean {
  return (
    code === "queue_full" ||
    code === "deadline_too_soon" ||
    code === "draining" ||
    code === "not_ready" ||
    code === "model_not_found"
  );
}
