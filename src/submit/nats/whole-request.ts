/** A request that goes to one node whole, and what that does not answer to another, one after the other. */
import type { MillraceError } from "millrace-client/wire";
import { chooseNode } from "../../nats/choose-node.js";
import type { OutcomeMessage } from "../../nats/messages.js";
import { timerMsMax } from "../../work/clock.js";
import { cancelled } from "../cancelled.js";
import type { SubmitSummary } from "../submit.js";
import { type NodeCandidate, unready } from "./known-models.js";
import type { AskEnd } from "./remote-ask.js";
import {
  isElsewhere,
  isGivenBack,
  lateMs,
  lostTooOften,
  RemoteRequest,
  refusalsMax,
} from "./remote-request.js";

export class WholeRequest extends RemoteRequest {
  /** Those that refused it or were lost: another one is better. */
  readonly #tried = new Set<string>();
  #refusals = 0;
  #losses = 0;

  async run(): Promise<SubmitSummary> {
    let refusal: MillraceError | null = null;
    while (!this.answers.isWhole) {
      const node = this.#choose();
      if (node === null) {
        if (this.isAccepted && (await this.doHere())) break;
        if (!this.isAccepted) throw refusal ?? unready(this.parts.model, this.parts.directory);
        if (this.#isLostTooOften) this.answers.failRest(lostTooOften(this.#losses).toWire());
        else this.failRest();
        break;
      }
      refusal = await this.#ask(node);
    }
    return this.summary();
  }

  get #isLostTooOften(): boolean {
    return this.#losses >= this.parts.attemptsMax;
  }

  /** Those that were tried come again only where they are alone, and NATS says that they live. */
  #choose(): NodeCandidate | null {
    if (this.#isLostTooOften || this.#refusals >= refusalsMax) return null;
    const all = this.candidates().filter(({ isLocal }) => !isLocal);
    const fresh = all.filter(({ instance }) => !this.#tried.has(instance));
    const isWorthAgain = fresh.length === 0 && this.#refusals === 0;
    const { random = Math.random } = this.parts;
    const items = this.answers.missing.length;
    return chooseNode(isWorthAgain ? all : fresh, { items, random });
  }

  /** Null, or why the node did not take it. @throws what ends the request */
  async #ask(node: NodeCandidate): Promise<MillraceError | null> {
    const { directory, observer } = this.parts;
    const missing = this.answers.missing;
    let told = 0;
    const { itemMs, pipelines } = node;
    directory.sent(node.instance, { items: missing.length, itemMs, pipelines });
    const onOutcome = (outcome: OutcomeMessage): void => {
      if (isGivenBack(outcome) || !this.take(outcome, node)) return;
      told += 1;
      directory.answered(node.instance, 1);
    };
    const end = await this.#converse(node, missing, onOutcome);
    directory.answered(node.instance, missing.length - told);
    this.#tried.add(node.instance);
    if (end === "late") {
      this.answers.addLost(node.node, told);
      this.failLate();
      return null;
    }
    if (end.kind === "done") {
      this.answers.add(node.node, end.summary);
      // It gave some back, or forgot them: others do them.
      if (!this.answers.isWhole) this.#losses += 1;
      return null;
    }
    this.answers.addLost(node.node, told);
    if (end.kind === "lost") {
      this.#losses += 1;
      observer.lost(node.node, this.answers.missing.length);
      return null;
    }
    if (!isElsewhere(end.error)) throw end.error;
    if (told > 0) this.#losses += 1;
    else this.#refusals += 1;
    return end.error;
  }

  async #converse(
    node: NodeCandidate,
    missing: readonly number[],
    onOutcome: (outcome: OutcomeMessage) => void,
  ): Promise<AskEnd | "late"> {
    const { request, signal, inputs, class: workClass } = this.parts;
    const ask = this.ask(node, onOutcome);
    const isAll = missing.length === inputs.length;
    const leftMs = this.leftMs();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<"late">((resolve) => {
      if (leftMs === null) return;
      timer = setTimeout(() => resolve("late"), Math.min(timerMsMax, Math.max(0, leftMs) + lateMs));
    });
    let onAbort: () => void = () => {};
    const left = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(cancelled());
      signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      if (signal.aborted) throw cancelled();
      const { fields, payloadBytes } = request;
      const isDeadlineNamed = isAll && request.isDeadlineNamed === true;
      const only = isAll ? null : missing;
      // By size, it is the node that knows the size.
      const terms = { class: isAll ? request.class : workClass, isDeadlineNamed };
      ask.send(this.message({ ...terms, payloadBytes, only, fields }));
      return await Promise.race([ask.ended, late, left]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      if (!ask.hasEnded) ask.leave();
    }
  }
}
