/**
 * An account of what callers ask for and get, and of what admission must hold for them, that shares no code with submit.
 * What a refusal must be is foretold before the call.
 */
import type { ErrorCode, WireError } from "millrace-client/wire";
import type { SubmitOutcome, SubmitSummary } from "#src/submit/submit.js";
import type { CallerPlan, OptionsPlan } from "./plan.js";
import type { Judge } from "./rules.js";
import { rightResult, textOf } from "./task.js";

export interface CallerInput {
  readonly bad: boolean;
  /** The numbers of its pieces. */
  readonly numbers: readonly number[];
  /** What errors its pieces may have had, as far as it has been seen. */
  readonly errors: Set<ErrorCode>;
  /** A piece whose answer is never a good one. */
  readonly isHopeless: boolean;
  outcome: "none" | "value" | "error";
}

export interface CallerAccountOptions {
  readonly name: string;
  readonly plan: CallerPlan;
  readonly options: OptionsPlan;
  readonly judge: Judge;
  readonly now: () => number;
  /** How late the rooms' timers may be. */
  readonly lateMsMax: number;
  readonly isStopping: () => boolean;
  readonly isGivenUp: (code: string) => boolean;
}

export class CallerAccount {
  readonly #o: CallerAccountOptions;
  readonly inputs: readonly CallerInput[];
  state: "new" | "asked" | "accepted" | "ended" = "new";
  arrivedAtMs = 0;
  deadlineAtMs: number | null = null;
  hasLeft = false;
  hasThrown = false;
  /** Every piece of it is made. */
  prepared = false;
  outcomes = 0;
  /** The refusal that must follow; null: none. */
  foretold: ErrorCode | null = null;
  /** What admission must hold for it. */
  held = { items: 0, bytes: 0 };

  constructor(inputs: readonly CallerInput[], options: CallerAccountOptions) {
    this.#o = options;
    this.inputs = inputs;
  }

  get pieces(): number {
    return this.inputs.reduce((sum, { bad, numbers }) => sum + (bad ? 0 : numbers.length), 0);
  }

  get ended(): boolean {
    return this.state === "ended";
  }

  /** Those without a tenant have the server's deadline. */
  get isDeadlineNamed(): boolean {
    return this.deadlineAtMs !== null && this.#o.plan.tenant !== "";
  }

  /** Whether older work waits is the scheduler's rule. */
  get #mayBeTooSoon(): boolean {
    const isOver = this.#o.now() >= (this.deadlineAtMs ?? Infinity);
    return this.isDeadlineNamed && this.prepared && this.outcomes === 0 && !isOver;
  }

  accepted(): void {
    if (this.state !== "asked")
      this.#fail("acceptance comes first, and once", `it is ${this.state}`);
    if (this.foretold !== null)
      this.#fail("who is refused is refused for a reason", `accepted in spite of ${this.foretold}`);
    this.state = "accepted";
  }

  /** Whoever is prepared for long hears within ten seconds that it was taken. */
  checkWaiting(): void {
    const waitedMs = this.#o.now() - this.arrivedAtMs;
    if (this.state === "asked" && waitedMs > 10_000 + this.#o.lateMsMax)
      this.#fail("acceptance comes first, and once", `no word in ${waitedMs} ms`);
  }

  outcome({ index, outcome }: SubmitOutcome): void {
    if (this.state === "ended" || this.hasLeft || this.hasThrown)
      return this.#fail("nothing follows the end", `an outcome of input ${index}`);
    if (this.state !== "accepted")
      this.#fail("acceptance comes first, and once", `an outcome of input ${index} before`);
    const input = this.inputs[index];
    if (input === undefined || input.outcome !== "none")
      return this.#fail("each input has one outcome", `input ${index} has another one`);
    this.outcomes += 1;
    input.outcome = "value" in outcome ? "value" : "error";
    if ("value" in outcome) this.#checkValue(index, { input, text: textOf(outcome.value) });
    else this.#checkError(index, { input, error: outcome.error });
  }

  finished(summary: SubmitSummary): void {
    if (this.state !== "accepted") this.#fail("acceptance comes first, and once", "it never was");
    // Who leaves when all was said already may get the summary.
    if (this.hasLeft && this.outcomes < this.inputs.length)
      this.#fail("nothing follows the end", "a summary for a caller who left");
    this.state = "ended";
    const open = this.inputs.filter(({ outcome }) => outcome === "none").length;
    if (open > 0) this.#fail("each input has one outcome", `${open} have none at the end`);
    this.#checkSummary(summary);
  }

  rejected(code: string, isOwn: boolean): void {
    const { isStopping } = this.#o;
    const was = this.state;
    this.state = "ended";
    if (isOwn && this.hasThrown) return;
    if (code === "cancelled") {
      if (!this.hasLeft)
        this.#fail("each input has one outcome", "cancelled, and it did not leave");
      return;
    }
    if (code === "deadline_too_soon" && this.#mayBeTooSoon) return;
    // Who is prepared for long may be refused after it was accepted.
    if (!this.prepared && code === this.foretold) return;
    if (code === "draining" && isStopping()) return;
    // It was let in, and then nobody could load its model.
    if (was !== "new" && this.#o.isGivenUp(code)) return;
    if (this.hasLeft && !this.hasThrown) return this.#fail("nothing follows the end", code);
    this.#fail(
      was === "asked" ? "who is refused is refused for a reason" : "each input has one outcome",
      `${code}, and ${this.foretold} was to be`,
    );
  }

  #checkValue(
    index: number,
    { input, text }: { readonly input: CallerInput; readonly text: string },
  ): void {
    const right = rightResult(input.numbers);
    if (input.bad || text !== right)
      this.#fail("an outcome is the right one", `input ${index} is "${text}", not "${right}"`);
    if (input.isHopeless)
      this.#fail("an outcome is the right one", `input ${index} has a value from no good answer`);
  }

  #checkError(
    index: number,
    { input, error }: { readonly input: CallerInput; readonly error: WireError },
  ): void {
    const { code } = error;
    const nowMs = this.#o.now();
    const dueMs = this.deadlineAtMs ?? Infinity;
    if (code === "deadline_exceeded") {
      if (nowMs < dueMs || nowMs > dueMs + this.#o.lateMsMax)
        this.#fail(
          "a deadline is kept to the caller",
          `due at ${dueMs}, input ${index} ends at ${nowMs}`,
        );
      return;
    }
    if (code === "input_too_long" ? input.bad : input.errors.has(code)) return;
    this.#fail("an outcome is the right one", `input ${index} ends with ${code}: ${error.message}`);
  }

  #checkSummary(summary: SubmitSummary): void {
    const { prepareMs, queueMs, computeMs, totalMs } = summary.timings;
    const spentMs = this.#o.now() - this.arrivedAtMs;
    const done = Object.values(summary.pipelines).reduce((sum, items) => sum + items, 0);
    const allGood = this.inputs.every(({ outcome }) => outcome === "value");
    const isRight =
      summary.inputs === this.inputs.length &&
      summary.model === this.#o.plan.model &&
      (this.#o.plan.class ?? summary.class) === summary.class &&
      Math.abs(totalMs - spentMs) < 1e-6 &&
      [prepareMs, queueMs, computeMs].every((ms) => ms >= 0 && ms <= totalMs) &&
      (allGood ? done === this.pieces : done <= this.pieces);
    if (!isRight) this.#fail("the summary is right", JSON.stringify(summary));
  }

  #fail(rule: Parameters<Judge>[0], message: string): void {
    this.#o.judge(rule, `${this.#o.name}: ${message}`);
  }
}

/** What admission must hold for all callers, and whom it must refuse. */
export class AdmissionAccount {
  readonly #options: OptionsPlan;
  items = 0;
  bytes = 0;
  requests = 0;

  constructor(options: OptionsPlan) {
    this.#options = options;
  }

  /** Why so much more for this caller is refused; null: it is let in. */
  refusal(
    caller: CallerAccount,
    more: { readonly items: number; readonly bytes: number },
  ): ErrorCode | null {
    const { queuedItemsMax, queuedBytesMax } = this.#options;
    const items = caller.held.items + more.items;
    const bytes = caller.held.bytes + more.bytes;
    if (items > queuedItemsMax) return "too_many_items";
    if (bytes > queuedBytesMax) return "body_too_large";
    // Small ones are let in up to a hundredth above.
    const hundredths = items <= 16 && bytes <= 65_536 ? 101 : 100;
    const isOver = (held: number, wanted: number, most: number): boolean =>
      // What it has already it keeps, whoever was let in above meanwhile.
      wanted > 0 && held + wanted > Math.floor((most * hundredths) / 100);
    const isFull =
      isOver(this.items, more.items, queuedItemsMax) ||
      isOver(this.bytes, more.bytes, queuedBytesMax);
    return isFull ? "queue_full" : null;
  }

  add(
    caller: CallerAccount,
    { items, bytes }: { readonly items: number; readonly bytes: number },
  ): void {
    caller.held = { items: caller.held.items + items, bytes: caller.held.bytes + bytes };
    this.items += items;
    this.bytes += bytes;
  }

  release(caller: CallerAccount): void {
    this.add(caller, { items: -caller.held.items, bytes: -caller.held.bytes });
    this.requests -= 1;
  }
}
