/** A large call on its way through an edge: the rules of its lots are the product's (submit/nats/lots.ts), the nodes are simulated. */
import { MillraceError } from "millrace-client/wire";
import type { VirtualClock } from "../simulation/virtual-clock.js";
import type { NodeCandidate } from "../submit/nats/known-models.js";
import { type GivenLot, Lots, lookMs } from "../submit/nats/lots.js";
import { refusalsMax } from "../submit/nats/node-tries.js";
import { itemCountOf, leftMs, partOfCall } from "./call-parts.js";
import type { RecordedCall } from "./recorded-load.js";
import type { CallError, CallEvents } from "./simulated-server.js";

const late = new MillraceError("deadline_exceeded", "not finished before its deadline");

export interface SimulatedLotsParts {
  readonly clock: VirtualClock;
  readonly candidates: () => readonly NodeCandidate[];
  readonly ask: (node: NodeCandidate, part: RecordedCall, events: CallEvents) => void;
}

export class SimulatedLots {
  readonly #call: RecordedCall;
  readonly #events: CallEvents;
  readonly #parts: SimulatedLotsParts;
  readonly #lots: Lots;
  readonly #arrivedAtMs: number;
  #open = 0;
  #refusals = 0;
  #refusal: CallError | null = null;
  #isAccepted = false;
  #isOver = false;
  #stopLook: () => void = () => {};

  constructor(call: RecordedCall, events: CallEvents, parts: SimulatedLotsParts) {
    this.#call = call;
    this.#events = events;
    this.#parts = parts;
    this.#lots = new Lots(call.inputs);
    this.#arrivedAtMs = parts.clock.now();
  }

  begin(): void {
    this.#look();
    this.#lookAgain();
  }

  get #leftMs(): number | null {
    return leftMs(this.#call, this.#parts.clock.now() - this.#arrivedAtMs);
  }

  #lookAgain(): void {
    const { clock } = this.#parts;
    if (this.#isOver) return;
    this.#stopLook = clock.at(clock.now() + lookMs, () => {
      this.#look();
      this.#lookAgain();
    });
  }

  #look(): void {
    if (this.#isOver) return;
    const isLate = this.#leftMs === 0;
    if (!isLate) this.#giveOut();
    if (this.#open > 0) return;
    if (this.#lots.restItems === 0) return this.#end(null, true);
    if (isLate) return this.#end(late, true);
    // Once some of it was taken, that all nodes are full is waited for.
    if (!this.#isAccepted && this.#refusal !== null) this.#end(this.#refusal, false);
  }

  #giveOut(): void {
    while (!this.#isOver) {
      if (!this.#isAccepted && this.#open === 0 && this.#refusals >= refusalsMax) return;
      const lot = this.#lots.next(this.#parts.candidates(), this.#parts.clock.now());
      if (lot === null) return;
      this.#give(lot);
    }
  }

  #give(lot: GivenLot): void {
    this.#open += 1;
    const part = partOfCall(this.#call, { ...lot, deadlineMs: this.#leftMs });
    const { node } = lot;
    let answered = 0;
    let items = 0;
    const inputsOfItem = lot.places.length / Math.max(1, itemCountOf(part));
    const onItem = (): void => {
      items += 1;
      for (; answered < Math.floor(items * inputsOfItem); answered += 1) this.#lots.answered(node);
      this.#events.onItem?.();
    };
    this.#parts.ask(node, part, {
      onItem,
      onEnd: (error, wasLetIn) => this.#ended(lot, error, wasLetIn),
    });
  }

  #ended(lot: GivenLot, error: CallError | null, wasLetIn: boolean): void {
    const nowMs = this.#parts.clock.now();
    this.#open -= 1;
    this.#lots.ended(lot.node, nowMs);
    if (wasLetIn) this.#isAccepted = true;
    if (error !== null) {
      if (wasLetIn) return this.#end(error, true);
      const { places } = lot;
      const fate = this.#lots.refused({ lot, places, hasBegun: false, error, nowMs });
      if (fate === "final") return this.#end(error, this.#isAccepted);
      if (fate === "refused") {
        this.#refusals += 1;
        this.#refusal = error;
      }
    }
    // What this step says of others comes first.
    this.#parts.clock.at(nowMs, () => this.#look());
  }

  #end(error: CallError | null, wasLetIn: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopLook();
    this.#events.onEnd(error, wasLetIn);
  }
}
