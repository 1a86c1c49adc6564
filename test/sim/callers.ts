/** Those who ask: each submits as planned, leaves at its moment, and has its account. What they ask for is prepared here too. */
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import type { FrameItem } from "#src/frames/messages.js";
import type { Prepare, PrepareRequest } from "#src/prepare/prepare.js";
import type { VirtualClock } from "#src/simulation/virtual-clock.js";
import type { Submit } from "#src/submit/submit.js";
import type { Payload } from "#src/work/payload.js";
import type { PreparedInput } from "#src/work/piece.js";
import type { PoolEvent } from "#src/worker/events.js";
import { AdmissionAccount, CallerAccount, type CallerInput } from "./caller-rules.js";
import type { CallerPlan, Plan } from "./plan.js";
import type { Judge } from "./rules.js";
import { makePiece, type NumberedPiece, numberOf } from "./task.js";

export interface CallersOptions {
  readonly plan: Plan;
  readonly clock: VirtualClock;
  readonly judge: Judge;
  note(what: string): void;
  trace(line: () => string): void;
  /** What the door must say of it; null: it lets in. */
  refusal(model: string): ErrorCode | null;
  /** Its callers may have been told that nobody can load it, with this code. */
  isGivenUp(model: string, code: string): boolean;
  isStopping(): boolean;
  /** One of these that a pipeline has, and that it was not told to drop. */
  uncancelled(itemIds: readonly number[]): number | undefined;
}

interface Caller {
  readonly at: number;
  readonly plan: CallerPlan;
  readonly account: CallerAccount;
  readonly controller: AbortController;
  readonly itemIds: number[];
  sent: number;
  ran: number;
}

/** What a caller's own callback throws. */
class OwnError extends Error {}

export class Callers {
  readonly admission: AdmissionAccount;
  /** Outcomes and ends so far. */
  heard = 0;
  readonly #o: CallersOptions;
  readonly #callers: readonly Caller[];
  readonly #pieces: NumberedPiece[] = [];
  /** The caller and the input of each piece, by its number. */
  readonly #owners: { readonly caller: Caller; readonly input: CallerInput }[] = [];
  readonly #numberOfItem = new Map<number, number>();
  /** Callers who are done since the last event. */
  readonly #ended: Caller[] = [];

  constructor(options: CallersOptions) {
    this.#o = options;
    this.admission = new AdmissionAccount(options.plan.options);
    this.#callers = options.plan.callers.map((caller, at) => this.#makeCaller(caller, at));
  }

  /** Those who wait for their end. */
  get open(): number[] {
    return this.#callers.filter(({ account }) => !account.ended).map(({ at }) => at);
  }

  start(submit: Submit): void {
    for (const caller of this.#callers)
      this.#o.clock.at(caller.plan.atMs, () => this.#arrive(caller, submit));
  }

  #makeCaller(plan: CallerPlan, at: number): Caller {
    const owners: { input: CallerInput }[] = [];
    const inputs = plan.inputs.map(({ bad, pieces }): CallerInput => {
      const numbers = pieces.map((piece) => {
        this.#pieces.push({ number: this.#pieces.length, plan: piece });
        return this.#pieces.length - 1;
      });
      const isHopeless = pieces.some(({ answer }) => answer !== "good");
      const errors: CallerInput["errors"] = new Set(isHopeless ? ["item_failed"] : []);
      const input: CallerInput = { bad, numbers, errors, isHopeless, outcome: "none" };
      for (const _ of numbers) owners.push({ input });
      return input;
    });
    const { options, surroundings } = this.#o.plan;
    const account = new CallerAccount(inputs, {
      name: `caller ${at}`,
      plan,
      options,
      judge: this.#o.judge,
      now: () => this.#o.clock.now(),
      lateMsMax:
        2 + 3 * surroundings.lateMsMax + surroundings.pauses.reduce((sum, { ms }) => sum + ms, 0),
      isStopping: () => this.#o.isStopping(),
      isGivenUp: (code) => this.#o.isGivenUp(plan.model, code),
    });
    const caller = {
      at,
      plan,
      account,
      controller: new AbortController(),
      itemIds: [],
      sent: 0,
      ran: 0,
    };
    for (const { input } of owners) this.#owners.push({ caller, input });
    return caller;
  }

  #arrive(caller: Caller, submit: Submit): void {
    const { plan, account, controller, at } = caller;
    const { leave, payloadBytes, model } = plan;
    const nowMs = this.#o.clock.now();
    account.state = "asked";
    account.arrivedAtMs = nowMs;
    account.deadlineAtMs = plan.timeoutMs === null ? null : nowMs + plan.timeoutMs;
    if (leave?.moment === "before-the-call") this.#leave(caller);
    account.foretold = this.#foretell(caller);
    this.#o.trace(
      () => `caller ${at} comes${account.foretold === null ? "" : `: ${account.foretold}`}`,
    );
    this.admission.requests += 1;
    if (account.foretold === null)
      this.admission.add(account, { items: plan.inputs.length, bytes: payloadBytes });
    const request = {
      id: `r${at}`,
      task: "triple",
      model,
      fields: { inputs: plan.inputs.map((_, index) => ({ caller, index })) },
      class: plan.class,
      tenant: plan.tenant,
      deadlineAtMs: account.deadlineAtMs,
      isDeadlineNamed: account.isDeadlineNamed,
      payloadBytes,
    };
    const submitted = submit.submit(request, controller.signal, {
      onAccepted: () => {
        account.accepted();
        if (leave?.moment === "when-accepted") this.#leave(caller);
        this.#inCallback(caller);
      },
      onOutcome: (outcome) => {
        this.heard += 1;
        this.#o.trace(() => `caller ${at} gets ${JSON.stringify(outcome)}`);
        this.#o.note(
          `outcome: ${"value" in outcome.outcome ? "value" : outcome.outcome.error.code}`,
        );
        account.outcome(outcome);
        this.#inCallback(caller);
      },
    });
    submitted.then(
      (summary) => this.#settled(caller, () => account.finished(summary)),
      (error: unknown) => this.#settled(caller, () => this.#rejected(account, error)),
    );
    if (leave?.moment === "in-the-same-turn") this.#leave(caller);
    if (leave?.moment === "later")
      this.#o.clock.at(nowMs + leave.afterMs, () => this.#leave(caller));
  }

  #settled(caller: Caller, action: () => void): void {
    this.heard += 1;
    action();
    this.admission.release(caller.account);
    this.#ended.push(caller);
    this.#o.trace(() => `caller ${caller.at} is done`);
  }

  #rejected(account: CallerAccount, error: unknown): void {
    this.#o.note(`refused or ended: ${error instanceof MillraceError ? error.code : "thrown"}`);
    if (error instanceof MillraceError && error.code === "queue_full") {
      const { retryAfterMs = 0 } = error;
      if (!(retryAfterMs >= 100 && retryAfterMs <= 60_000))
        this.#o.judge("who is refused is refused for a reason", `come after ${retryAfterMs} ms`);
    }
    if (error instanceof MillraceError) account.rejected(error.code, false);
    else account.rejected(String(error), error instanceof OwnError);
  }

  /** Of whoever is done, for whatever reason, nothing is worked on. */
  checkEnded(): void {
    for (const { at, itemIds } of this.#ended.splice(0)) {
      const itemId = this.#o.uncancelled(itemIds);
      if (itemId !== undefined)
        this.#o.judge("who left costs no further run", `item ${itemId} of caller ${at} goes on`);
    }
  }

  /** What the door must answer; the order is that of its checks. */
  #foretell({ account, plan }: Caller): CallerAccount["foretold"] {
    if (account.hasLeft) return "cancelled";
    if (this.#o.isStopping()) return "draining";
    const refusal = this.#o.refusal(plan.model);
    if (refusal !== null) return refusal;
    return this.admission.refusal(account, {
      items: plan.inputs.length,
      bytes: plan.payloadBytes,
    });
  }

  #inCallback(caller: Caller): void {
    const next = this.#callers[caller.at + 1];
    const { leave: others = null } = next?.plan ?? {};
    if (next !== undefined && others?.moment === "at-anothers-outcome")
      if (next.account.state !== "new" && others.nth === caller.account.outcomes) this.#leave(next);
    const { leave } = caller.plan;
    if (leave === null || !("nth" in leave) || leave.nth !== caller.account.outcomes) return;
    if (leave.moment === "at-an-outcome") this.#leave(caller);
    if (leave.moment === "callback-throws") {
      this.#o.note("leave: callback-throws");
      caller.account.hasThrown = true;
      throw new OwnError("thrown by a callback, as planned");
    }
  }

  #leave(caller: Caller): void {
    if (caller.account.ended || caller.account.hasLeft) return;
    this.#o.note(`leave: ${caller.plan.leave?.moment}`);
    this.#o.trace(() => `caller ${caller.at} leaves`);
    caller.account.hasLeft = true;
    caller.controller.abort();
  }

  readonly prepare: Prepare = {
    prepare: (request, signal) => {
      const { caller } = request.inputs[0] as { readonly caller: Caller };
      const { prepareMs } = caller.plan;
      if (prepareMs === 0)
        return new Promise((resolve) => resolve(this.#prepareAll(caller, request)));
      return new Promise((resolve, reject) => {
        const cancel = this.#o.clock.at(this.#o.clock.now() + prepareMs, () => {
          const { account } = caller;
          if (account.ended || account.hasLeft || signal.aborted)
            this.#o.judge("preparing ends with its caller", `caller ${caller.at}`);
          account.checkWaiting();
          try {
            resolve(this.#prepareAll(caller, request));
          } catch (error) {
            reject(error as Error);
          }
        });
        signal.addEventListener("abort", () => {
          cancel();
          reject(signal.reason as Error);
        });
      });
    },
  };

  #prepareAll(caller: Caller, { budget }: PrepareRequest): PreparedInput[] {
    const { account, plan } = caller;
    let made = 0;
    const prepared = account.inputs.map(({ bad, numbers }): PreparedInput => {
      if (bad)
        return { ok: false, error: { code: "input_too_long", message: "bad", retryable: false } };
      const pieces = numbers.map((number) => {
        const piece = makePiece(this.pieceOf(number));
        made += 1;
        const more = { items: made > plan.inputs.length ? 1 : 0, bytes: piece.cost.bytes };
        const foretold = this.admission.refusal(account, more);
        account.foretold = foretold;
        budget.take(1, piece.cost.bytes);
        if (foretold !== null)
          this.#o.judge("who is refused is refused for a reason", `let in in spite of ${foretold}`);
        this.admission.add(account, more);
        return piece;
      });
      return { ok: true, pieces, note: null };
    });
    this.admission.add(account, { items: made - account.held.items, bytes: 0 });
    account.prepared = true;
    return prepared;
  }

  pieceOf(number: number): NumberedPiece {
    const piece = this.#pieces[number];
    if (piece === undefined) throw new Error(`there is no piece ${number}`);
    return piece;
  }

  /** A batch goes to a pipeline. */
  sent(items: readonly FrameItem[]): void {
    for (const { itemId, payload } of items) {
      const number = numberOf(payload);
      this.#numberOfItem.set(itemId, number);
      const caller = this.#owners[number]?.caller;
      caller?.itemIds.push(itemId);
      if (caller?.account.ended === true)
        this.#o.judge("work for absent callers is never dispatched", `to the pool: item ${itemId}`);
    }
  }

  learnErrors(event: Extract<PoolEvent, { readonly type: "returned" }>): void {
    for (const { itemId, error } of event.failed)
      this.#owners[this.#numberOfItem.get(itemId) ?? -1]?.input.errors.add(error.code);
  }

  /** Its item has a good answer that nobody can use. */
  spoilt(payload: Payload): void {
    this.#owners[numberOf(payload)]?.input.errors.add("item_failed");
  }

  /** It may be the one at which its caller leaves. */
  moment(moment: "when-sent" | "when-running", payload: Payload): void {
    const caller = this.#owners[numberOf(payload)]?.caller;
    if (caller === undefined) return;
    const count = moment === "when-sent" ? ++caller.sent : ++caller.ran;
    const { leave } = caller.plan;
    if (leave?.moment === moment && leave.nth === count) this.#leave(caller);
  }
}
