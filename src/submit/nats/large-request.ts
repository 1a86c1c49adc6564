/**
 * A request of many inputs, which goes to all nodes that it is worth, a lot at a time: each lot is a request of its own there.
 *
 *   rest ─► choose a lot (nats/choose-lot.ts) ─► the node ──► outcomes, at their places in the whole
 *    ▲                                             │ done: the next one
 *    └── what has no outcome ◄─────────────────────┘ refused: it is left alone for a while │ lost, or given back
 *
 * Every event ends in `#look`, which looks at all of it. Once a node has accepted a lot the request is accepted: that all nodes are full
 * then is waited for, as in a queue.
 */
import { MillraceError } from "millrace-client/wire";
import { beatMs, nodeSilentBeatsMax } from "../../nats/beats.js";
import { chooseLot, type LotNode } from "../../nats/choose-lot.js";
import type { OutcomeMessage } from "../../nats/messages.js";
import { cutInputs } from "../../tasks/cut-inputs.js";
import { timerMsMax } from "../../work/clock.js";
import { withResolvers } from "../../work/with-resolvers.js";
import { cancelled } from "../cancelled.js";
import { placed } from "../placed.js";
import type { SubmitSummary } from "../submit.js";
import { type NodeCandidate, unready } from "./known-models.js";
import { LotNodeState } from "./lot-node.js";
import type { AskEnd, RemoteAsk } from "./remote-ask.js";
import {
  isElsewhere,
  isGivenBack,
  lateMs,
  lostTooOften,
  RemoteRequest,
  type RemoteRequestParts,
  refusalsMax,
} from "./remote-request.js";
import { type LotPlaces, RestOfRequest } from "./rest-of-request.js";

/** News of nodes come about as often: one that is new gets its part, one that was full may have room. */
const lookMs = 250;
/** Of a node that is full, whatever it says. */
const restMsMin = 250;
const restMsMax = 5_000;
/** Of one that was lost and is heard of still. */
const lostRestMs = nodeSilentBeatsMax * beatMs;

interface Lot extends LotPlaces {
  readonly node: NodeCandidate;
  /** Null: on this server's own pipelines. */
  ask: RemoteAsk | null;
  told: number;
  readonly sentAfterMs: number;
}

export class LargeRequest extends RemoteRequest {
  readonly #rest: RestOfRequest;
  readonly #lots = new Set<Lot>();
  readonly #nodes = new Map<string, LotNodeState>();
  /** For what runs here. */
  readonly #leaving = new AbortController();
  #refusals = 0;
  #refusal: MillraceError | null = null;
  #isOver = false;
  readonly #outcome = withResolvers();

  constructor(parts: RemoteRequestParts) {
    super(parts);
    this.#rest = new RestOfRequest(parts.inputs.length);
  }

  async run(): Promise<SubmitSummary> {
    const { signal } = this.parts;
    if (signal.aborted) throw cancelled();
    const onAbort = (): void => this.#fail(cancelled());
    signal.addEventListener("abort", onAbort, { once: true });
    const looking = setInterval(() => this.#look(), lookMs);
    const leftMs = this.leftMs();
    const late = leftMs === null ? undefined : this.#onceLate(leftMs);
    try {
      this.#look();
      await this.#outcome.promise;
      return this.summary();
    } finally {
      clearInterval(looking);
      clearTimeout(late);
      signal.removeEventListener("abort", onAbort);
      this.#leaving.abort();
      for (const lot of this.#lots) this.#endLot(lot);
    }
  }

  #onceLate(leftMs: number): NodeJS.Timeout {
    const ms = Math.min(timerMsMax, Math.max(0, leftMs) + lateMs);
    return setTimeout(() => this.#guard(() => this.#late()), ms);
  }

  /** What ends the request, once. */
  #fail(error: unknown): void {
    this.#isOver = true;
    this.#outcome.reject(error);
  }

  #guard(action: () => void): void {
    if (this.#isOver) return;
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #look(): void {
    this.#guard(() => {
      if (this.answers.isWhole) return this.#over();
      const leftMs = this.leftMs();
      const isLate = leftMs !== null && leftMs <= 0;
      if (!isLate) this.#giveOut();
      if (this.#lots.size > 0 || this.#rest.items === 0) return;
      if (isLate) this.#late();
      else this.#nobodyHasIt();
    });
  }

  #over(): void {
    this.#isOver = true;
    this.#outcome.resolve();
  }

  #late(): void {
    for (const lot of this.#lots) this.answers.addLost(lot.node.node, lot.told);
    this.failLate();
    this.#over();
  }

  #giveOut(): void {
    while (this.#rest.items > 0) {
      if (!this.isAccepted && this.#refusals >= refusalsMax) return;
      const lot = chooseLot(this.#takers(), this.#rest.items);
      if (lot === null) return;
      void this.#give(lot.node, this.#rest.take(lot.items));
    }
  }

  /** Those that may be given something. */
  #takers(): readonly (NodeCandidate & LotNode)[] {
    const nowMs = performance.now();
    return this.#able().flatMap((node) => {
      const state = this.#stateOf(node);
      if (state.rests(nowMs)) return [];
      const { lots, itemMs, itemsMax } = state;
      const seen = itemMs === null ? {} : { itemMs, pipelines: 1 };
      return [{ ...node, ...seen, lots, itemsMax, isKnown: itemMs !== null }];
    });
  }

  #able(): readonly NodeCandidate[] {
    const { here, model, request } = this.parts;
    const isHere = here?.serves(model, request.task) === true;
    return this.candidates().filter(({ isLocal }) => isHere || !isLocal);
  }

  #stateOf({ instance }: NodeCandidate): LotNodeState {
    const known = this.#nodes.get(instance);
    if (known !== undefined) return known;
    const state = new LotNodeState();
    this.#nodes.set(instance, state);
    return state;
  }

  /** Nothing of it is under way, and nobody takes what is left. */
  #nobodyHasIt(): void {
    const isHopeless = this.#able().length === 0;
    if (!this.isAccepted) {
      if (isHopeless || this.#refusal !== null) throw this.#refused();
    } else if (isHopeless) {
      this.#isOver = true;
      this.#endWithoutNodes().then(this.#outcome.resolve, this.#outcome.reject);
    }
  }

  async #endWithoutNodes(): Promise<void> {
    if (!(await this.doHere())) this.failRest();
  }

  #refused(): MillraceError {
    return this.#refusal ?? unready(this.parts.model, this.parts.directory);
  }

  async #give(node: NodeCandidate & LotNode, places: LotPlaces): Promise<void> {
    const { directory } = this.parts;
    const nowMs = performance.now();
    const items = places.places.length;
    const sentAfterMs = nowMs - this.arrivedAtMs;
    const lot: Lot = { ...places, node, ask: null, told: 0, sentAfterMs };
    this.#lots.add(lot);
    this.#stateOf(node).gave(nowMs);
    directory.sent(node.instance, { items, itemMs: node.itemMs, pipelines: node.pipelines });
    try {
      const end = await (node.isLocal ? this.#runHere(lot) : this.#askFor(lot));
      this.#guard(() => this.#ended(lot, end));
    } catch (error) {
      this.#fail(error);
    }
    this.#look();
  }

  async #askFor(lot: Lot): Promise<AskEnd> {
    const ask = this.ask(lot.node, (outcome) => this.#told(lot, outcome));
    lot.ask = ask;
    const { class: workClass } = this.parts;
    // A lot has the whole's deadline, and may wait for its turn: others have begun.
    const terms = { class: workClass, isDeadlineNamed: false, only: null };
    ask.send(this.message({ ...terms, ...this.#cut(lot) }));
    return await ask.ended;
  }

  async #runHere(lot: Lot): Promise<AskEnd> {
    const { here, request, model, class: workClass } = this.parts;
    if (here === undefined) throw new Error("a lot for pipelines that are not here");
    const terms = { model, class: workClass, isDeadlineNamed: false };
    const asked = { ...request, ...terms, ...this.#cut(lot) };
    try {
      const summary = await here.submit.submit(asked, this.#leaving.signal, {
        onAccepted: () => this.#guard(() => this.accepted()),
        onOutcome: ({ index, outcome }) =>
          this.#guard(() => this.#told(lot, { index, ...outcome })),
      });
      return { kind: "done", summary };
    } catch (error) {
      if (error instanceof MillraceError) return { kind: "failed", error };
      throw error;
    }
  }

  #cut({ places }: Lot) {
    const { task, request, inputs } = this.parts;
    const payloadBytes = Math.ceil((request.payloadBytes * places.length) / inputs.length);
    return { fields: cutInputs(task, request.fields, places), payloadBytes };
  }

  #told(lot: Lot, { index, ...outcome }: OutcomeMessage): void {
    const { node, places } = lot;
    if (places[index] === undefined) return;
    const own = placed({ index, outcome }, places);
    const message = { index: own.index, ...own.outcome };
    if (isGivenBack(message) || !this.take(message, node)) return;
    lot.told += 1;
    this.#stateOf(node).answered();
    this.parts.directory.answered(node.instance, 1);
  }

  #ended(lot: Lot, end: AskEnd): void {
    const { node, told, sentAfterMs } = lot;
    this.#endLot(lot);
    const places = lot.places.filter((place) => !this.answers.has(place));
    if (end.kind === "done") {
      this.answers.addBeside(node.node, end.summary, sentAfterMs);
      return this.#lost({ places, losses: lot.losses + 1 });
    }
    this.answers.addLost(node.node, told);
    const state = this.#stateOf(node);
    const nowMs = performance.now();
    if (end.kind === "lost") {
      state.rest(lostRestMs, nowMs);
      this.parts.observer.lost(node.node, places.length);
      return this.#lost({ places, losses: lot.losses + 1 });
    }
    const { error } = end;
    if (isTooLarge(error) && told === 0 && lot.places.length > 1) {
      // Its queue is smaller than what was thought to be a little of its time.
      state.itemsMax = Math.floor(lot.places.length / 2);
      return this.#rest.giveBack({ places, losses: lot.losses });
    }
    if (!isElsewhere(error)) throw error;
    const restMs = error.retryAfterMs ?? restMsMin;
    state.rest(Math.min(restMsMax, Math.max(restMsMin, restMs)), nowMs);
    if (told > 0) return this.#lost({ places, losses: lot.losses + 1 });
    this.#refusals += 1;
    this.#refusal = error;
    this.#rest.giveBack({ places, losses: lot.losses });
  }

  /** Others do them, unless that was tried often enough. */
  #lost(lost: LotPlaces): void {
    if (lost.losses < this.parts.attemptsMax) return this.#rest.giveBack(lost);
    if (lost.places.length === 0) return;
    if (!this.isAccepted) throw this.#refused();
    const error = lostTooOften(lost.losses).toWire();
    for (const index of lost.places) this.answers.take({ index, error });
  }

  /** Nobody waits for it any more; again: nothing. */
  #endLot(lot: Lot): void {
    if (!this.#lots.delete(lot)) return;
    const { node, ask, places, told } = lot;
    this.#stateOf(node).ended(performance.now());
    this.parts.directory.answered(node.instance, places.length - told);
    if (ask?.hasEnded === false) ask.leave();
  }
}

/** For good, as it is. */
function isTooLarge({ code }: MillraceError): boolean {
  return code === "too_many_items" || code === "body_too_large";
}
