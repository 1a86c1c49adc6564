/**
 * The lots of a large request: which node has how many, who gets the next one, and what came back. Pure: it is told what happens, and when;
 * what becomes of inputs that were lost too often is for whoever asks.
 */
import type { MillraceError } from "millrace-client/wire";
import { beatMs, nodeSilentBeatsMax } from "../../nats/beats.js";
import { chooseLot, type LotNode } from "../../nats/choose-lot.js";
import type { NodeCandidate } from "./known-models.js";
import { LotNodeState } from "./lot-node.js";
import { isElsewhere } from "./node-tries.js";
import { type LotPlaces, RestOfRequest } from "./rest-of-request.js";

/** News of nodes come about as often: one that is new gets its part, one that was full may have room. */
export const lookMs = 250;
/** Of a node that is full, whatever it says. */
const restMsMin = 250;
const restMsMax = 5_000;
/** Of one that was lost and is heard of still. */
const lostRestMs = nodeSilentBeatsMax * beatMs;

export interface GivenLot extends LotPlaces {
  readonly node: NodeCandidate;
}

export interface LotRefusal {
  /** The lot as it was given. */
  readonly lot: GivenLot;
  /** Of it, what has no outcome. */
  readonly places: readonly number[];
  /** Some of it has. */
  readonly hasBegun: boolean;
  readonly error: Pick<MillraceError, "code" | "retryAfterMs">;
  readonly nowMs: number;
}

/** `final`: for the whole request; `lost`: it had begun with it; else others get it. */
export type LotFate = "final" | "lost" | "again" | "refused";

export class Lots {
  readonly #rest: RestOfRequest;
  readonly #nodes = new Map<string, LotNodeState>();

  constructor(inputs: number) {
    this.#rest = new RestOfRequest(inputs);
  }

  /** That no node has. */
  get restItems(): number {
    return this.#rest.items;
  }

  /** Null: whoever would be worth it has enough, or nothing is left. What is returned is given. */
  next(able: readonly NodeCandidate[], nowMs: number): GivenLot | null {
    if (this.#rest.items === 0) return null;
    const chosen = chooseLot(this.#takers(able, nowMs), this.#rest.items);
    if (chosen === null) return null;
    this.#stateOf(chosen.node).gave(nowMs);
    return { ...this.#rest.take(chosen.items), node: chosen.node };
  }

  /** One input of a lot that it has. */
  answered(node: NodeCandidate): void {
    this.#stateOf(node).answered();
  }

  /** It has one lot less, whatever became of that. */
  ended(node: NodeCandidate, nowMs: number): void {
    this.#stateOf(node).ended(nowMs);
  }

  giveBack(places: LotPlaces): void {
    this.#rest.giveBack(places);
  }

  /** The node is gone, as far as anybody knows. */
  lost(node: NodeCandidate, nowMs: number): void {
    this.#stateOf(node).rest(lostRestMs, nowMs);
  }

  /** A node did not take a lot, or gave it up; what others get is theirs again behind this. */
  refused({ lot, places, hasBegun, error, nowMs }: LotRefusal): LotFate {
    const state = this.#stateOf(lot.node);
    if (isTooLarge(error) && !hasBegun && lot.places.length > 1) {
      // Its queue is smaller than what was thought to be a little of its time.
      state.itemsMax = Math.floor(lot.places.length / 2);
      this.giveBack({ places, losses: lot.losses });
      return "again";
    }
    if (!isElsewhere(error)) return "final";
    const restMs = error.retryAfterMs ?? restMsMin;
    state.rest(Math.min(restMsMax, Math.max(restMsMin, restMs)), nowMs);
    if (hasBegun) return "lost";
    this.giveBack({ places, losses: lot.losses });
    return "refused";
  }

  /** Those that may be given something. */
  #takers(able: readonly NodeCandidate[], nowMs: number): readonly (NodeCandidate & LotNode)[] {
    return able.flatMap((node) => {
      const state = this.#stateOf(node);
      if (state.rests(nowMs)) return [];
      const { lots, itemMs, itemsMax } = state;
      const seen = itemMs === null ? {} : { itemMs, pipelines: 1 };
      return [{ ...node, ...seen, lots, itemsMax, isKnown: itemMs !== null }];
    });
  }

  #stateOf({ instance }: NodeCandidate): LotNodeState {
    const known = this.#nodes.get(instance);
    if (known !== undefined) return known;
    const state = new LotNodeState();
    this.#nodes.set(instance, state);
    return state;
  }
}

/** For good, as it is. */
function isTooLarge({ code }: Pick<MillraceError, "code">): boolean {
  return code === "too_many_items" || code === "body_too_large";
}
