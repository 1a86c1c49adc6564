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
import type { OutcomeMessage } from "../../nats/messages.js";
import { cutInputs } from "../../tasks/cut-inputs.js";
import { timerMsMax } from "../../work/clock.js";
import { withResolvers } from "../../work/with-resolvers.js";
import { cancelled } from "../cancelled.js";
import { placed } from "../placed.js";
import type { SubmitSummary } from "../submit.js";
import { type NodeCandidate, unready } from "./known-models.js";
import { type GivenLot, Lots, lookMs } from "./lots.js";
import { refusalsMax } from "./node-tries.js";
import type { AskEnd, RemoteAsk } from "./remote-ask.js";
import {
  isGivenBack,
  lateMs,
  lostTooOften,
  RemoteRequest,
  type RemoteRequestParts,
} from "./remote-request.js";
import type { LotPlaces } from "./rest-of-request.js";

interface Lot extends GivenLot {
  /** Null: on this server's own pipelines. */
  ask: RemoteAsk | null;
  told: number;
  readonly sentAfterMs: number;
}

export class LargeRequest extends RemoteRequest {
  readonly #lots: Lots;
  /** Those that are at a node. */
  readonly #open = new Set<Lot>();
  /** For what runs here. */
  readonly #leaving = new AbortController();
  #refusals = 0;
  #refusal: MillraceError | null = null;
  #isOver = false;
  readonly #outcome = withResolvers();

  constructor(parts: RemoteRequestParts) {
    super(parts);
    this.#lots = new Lots(parts.inputs.length);
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
      for (const lot of this.#open) this.#endLot(lot);
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
      if (this.#open.size > 0 || this.#lots.restItems === 0) return;
      if (isLate) this.#late();
      else this.#nobodyHasIt();
    });
  }

  #over(): void {
    this.#isOver = true;
    this.#outcome.resolve();
  }

  #late(): void {
    for (const lot of this.#open) this.answers.addLost(lot.node.node, lot.told);
    this.failLate();
    this.#over();
  }

  #giveOut(): void {
    while (this.#lots.restItems > 0) {
      if (!this.isAccepted && this.#refusals >= refusalsMax) return;
      const lot = this.#lots.next(this.#able(), performance.now());
      if (lot === null) return;
      void this.#give(lot);
    }
  }

  #able(): readonly NodeCandidate[] {
    const { here, model, request } = this.parts;
    const isHere = here?.serves(model, request.task) === true;
    return this.candidates().filter(({ isLocal }) => isHere || !isLocal);
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

  async #give(given: GivenLot): Promise<void> {
    const { directory } = this.parts;
    const { node, places } = given;
    const sentAfterMs = performance.now() - this.arrivedAtMs;
    const lot: Lot = { ...given, ask: null, told: 0, sentAfterMs };
    this.#open.add(lot);
    const { itemMs, pipelines } = node;
    directory.sent(node.instance, { items: places.length, itemMs, pipelines });
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
    this.#lots.answered(node);
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
    const nowMs = performance.now();
    if (end.kind === "lost") {
      this.#lots.lost(node, nowMs);
      this.parts.observer.lost(node.node, places.length);
      return this.#lost({ places, losses: lot.losses + 1 });
    }
    const { error } = end;
    const fate = this.#lots.refused({ lot, places, hasBegun: told > 0, error, nowMs });
    if (fate === "final") throw error;
    if (fate === "lost") return this.#lost({ places, losses: lot.losses + 1 });
    if (fate === "again") return;
    this.#refusals += 1;
    this.#refusal = error;
  }

  /** Others do them, unless that was tried often enough. */
  #lost(lost: LotPlaces): void {
    if (lost.losses < this.parts.attemptsMax) return this.#lots.giveBack(lost);
    if (lost.places.length === 0) return;
    if (!this.isAccepted) throw this.#refused();
    const error = lostTooOften(lost.losses).toWire();
    for (const index of lost.places) this.answers.take({ index, error });
  }

  /** Nobody waits for it any more; again: nothing. */
  #endLot(lot: Lot): void {
    if (!this.#open.delete(lot)) return;
    const { node, ask, places, told } = lot;
    this.#lots.ended(node, performance.now());
    this.parts.directory.answered(node.instance, places.length - told);
    if (ask?.hasEnded === false) ask.leave();
  }
}
