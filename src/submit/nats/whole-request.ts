/** A request that goes to one node whole, and what that does not answer to another, one after the other. */
import type { MillraceError } from "millrace-client/wire";
import type { OutcomeMessage } from "../../nats/messages.js";
import { timerMsMax } from "../../work/clock.js";
import { cancelled } from "../cancelled.js";
import type { SubmitSummary } from "../submit.js";
import { type NodeCandidate, unready } from "./known-models.js";
import { isElsewhere, NodeTries } from "./node-tries.js";
import type { AskEnd } from "./remote-ask.js";
import { isGivenBack, lateMs, lostTooOften, RemoteRequest } from "./remote-request.js";

export class WholeRequest extends RemoteRequest {
  readonly #tries = new NodeTries(this.parts.attemptsMax);

  async run(): Promise<SubmitSummary> {
    let refusal: MillraceError | null = null;
    while (!this.answers.isWhole) {
      const node = this.#choose();
      if (node === null) {
        if (this.isAccepted && (await this.doHere())) break;
        if (!this.isAccepted) throw refusal ?? unready(this.parts.model, this.parts.directory);
        const { isLostTooOften, losses } = this.#tries;
        if (isLostTooOften) this.answers.failRest(lostTooOften(losses).toWire());
        else this.failRest();
        break;
      }
      refusal = await this.#ask(node);
    }
    return this.summary();
  }

  #choose(): NodeCandidate | null {
    const { random = Math.random } = this.parts;
    return this.#tries.choose(this.candidates(), { items: this.answers.missing.length, random });
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
    this.#tries.tried(node);
    if (end === "late") {
      this.answers.addLost(node.node, told);
      this.failLate();
      return null;
    }
    if (end.kind === "done") {
      this.answers.add(node.node, end.summary);
      // It gave some back, or forgot them: others do them.
      if (!this.answers.isWhole) this.#tries.lost();
      return null;
    }
    this.answers.addLost(node.node, told);
    if (end.kind === "lost") {
      this.#tries.lost();
      observer.lost(node.node, this.answers.missing.length);
      return null;
    }
    if (!isElsewhere(end.error)) throw end.error;
    if (told > 0) this.#tries.lost();
    else this.#tries.refused();
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
