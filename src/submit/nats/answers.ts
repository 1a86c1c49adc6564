/**
 * What the caller has of a request that several nodes may have worked on: every input has one outcome, whoever says it, and however often.
 */
import type { WireError, WorkClass } from "millrace-client/wire";
import type { DoneSummary, OutcomeMessage } from "../../nats/messages.js";
import type { SubmitOutcome, SubmitSummary } from "../submit.js";

export interface AnswersOptions {
  readonly inputs: number;
  readonly onOutcome: (outcome: SubmitOutcome) => void;
}

export class Answers {
  readonly #options: AnswersOptions;
  readonly #has: Uint8Array;
  readonly #pipelines: Record<string, number> = {};
  #open: number;
  #timings = { prepareMs: 0, queueMs: 0, computeMs: 0 };
  #class: WorkClass | null = null;
  /** Since the request came: when the first of its parts was with a pipeline, and when the last was done. */
  #beganMs = Infinity;
  #endedMs = 0;

  constructor(options: AnswersOptions) {
    this.#options = options;
    this.#has = new Uint8Array(options.inputs);
    this.#open = options.inputs;
  }

  get isWhole(): boolean {
    return this.#open === 0;
  }

  has(index: number): boolean {
    return this.#has[index] === 1;
  }

  /** Rising. */
  get missing(): number[] {
    const missing: number[] = [];
    for (const [index, has] of this.#has.entries()) if (has === 0) missing.push(index);
    return missing;
  }

  /** False: of no input, or of one that has had its outcome. What `onOutcome` throws is thrown. */
  take(message: OutcomeMessage): boolean {
    const { index } = message;
    if (this.#has[index] !== 0) return false;
    this.#has[index] = 1;
    this.#open -= 1;
    const outcome = "error" in message ? { error: message.error } : { value: message.value };
    this.#options.onOutcome({ index, outcome });
    return true;
  }

  failRest(error: WireError): void {
    for (const index of this.missing) this.take({ index, error });
  }

  /** What one node says of its part; phases of several follow one another. */
  add(node: string, { timings, pipelines, class: workClass }: DoneSummary): void {
    this.#class ??= workClass;
    this.#timings.prepareMs += timings.prepareMs;
    this.#timings.queueMs += timings.queueMs;
    this.#timings.computeMs += timings.computeMs;
    this.#countAll(node, pipelines);
  }

  /** Of a part that went there so late, beside others: the phases are those of the whole. */
  addBeside(node: string, summary: DoneSummary, sentAfterMs: number): void {
    const { prepareMs, queueMs, computeMs, totalMs } = summary.timings;
    this.#class ??= summary.class;
    this.#endedMs = Math.max(this.#endedMs, sentAfterMs + totalMs);
    this.#beganMs = Math.min(this.#beganMs, sentAfterMs + totalMs - computeMs);
    this.#timings = {
      prepareMs: Math.max(this.#timings.prepareMs, prepareMs),
      queueMs: Math.max(this.#timings.queueMs, sentAfterMs + queueMs),
      computeMs: Math.max(0, this.#endedMs - this.#beganMs),
    };
    this.#countAll(node, summary.pipelines);
  }

  /** It told outcomes, and no summary. */
  addLost(node: string, inputs: number): void {
    if (inputs > 0) this.#count(node, inputs);
  }

  summary(of: Pick<SubmitSummary, "task" | "model" | "class">, totalMs: number): SubmitSummary {
    return {
      ...of,
      class: this.#class ?? of.class,
      inputs: this.#options.inputs,
      timings: { ...this.#timings, totalMs },
      pipelines: this.#pipelines,
    };
  }

  #countAll(node: string, pipelines: DoneSummary["pipelines"]): void {
    for (const [pipeline, items] of Object.entries(pipelines))
      this.#count(`${node}/${pipeline}`, items);
  }

  #count(key: string, items: number): void {
    this.#pipelines[key] = (this.#pipelines[key] ?? 0) + items;
  }
}
