/** One request between acceptance and its last outcome. It knows its texts and times, and nothing of queues or pipelines. */
import {
  MillraceError,
  type TranslateItem,
  type WireError,
  type WorkClass,
} from "millrace-client/wire";
import type { FrameOutcome } from "../frames/messages.js";
import type { PreparedText } from "../prepare/prepared.js";
import { type GenerationSettings, readHypotheses } from "../work/generation.js";
import { TextAssembly } from "./reassemble.js";
import type { SubmitOutcome, SubmitSummary } from "./submit.js";

export interface JobOptions {
  readonly requestId: number;
  readonly model: string;
  readonly class: WorkClass;
  readonly settings: GenerationSettings;
  readonly texts: readonly PreparedText[];
  readonly arrivedAtMs: number;
  readonly queuedAtMs: number;
  readonly detokenize: (tokenIds: readonly number[]) => string;
  readonly onOutcome: (outcome: SubmitOutcome) => void;
}

export class Job {
  readonly options: JobOptions;
  readonly done: Promise<void>;
  /** Items that have not ended, of texts that failed too. */
  readonly openItemIds: Set<number> = new Set();
  readonly #texts: (TextAssembly | null)[];
  readonly #pipelines: Record<string, number> = {};
  #openTexts: number;
  #firstSentAtMs: number | null = null;
  #longestWaitMs = 0;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(options: JobOptions) {
    this.options = options;
    this.#openTexts = options.texts.length;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { detokenize, settings } = options;
    this.#texts = options.texts.map((text) =>
      text.ok ? new TextAssembly({ ...text, nBest: settings.nBest, detokenize }) : null,
    );
  }

  get ended(): boolean {
    return this.#openTexts === 0;
  }

  /** Texts that need no model: those that prepare refused, and those without a sentence. */
  answerAtOnce(): void {
    this.options.texts.forEach((text, index) => {
      this.#report(
        index,
        text.ok ? this.#attempt(index, (t) => t.whenComplete()) : { error: text.error },
      );
    });
    // A request without texts has nothing to wait for.
    if (this.#openTexts === 0) this.#resolve();
  }

  sent(nowMs: number, firstTime: boolean): void {
    this.#firstSentAtMs ??= nowMs;
    if (!firstTime) return;
    this.#longestWaitMs = Math.max(this.#longestWaitMs, nowMs - this.options.queuedAtMs);
  }

  finish(place: Place, outcome: FrameOutcome, pipelineId: string): void {
    if (!outcome.ok) {
      const { code, message } = outcome;
      this.fail(place, new MillraceError(code, message).toWire());
      return;
    }
    const hypotheses = readHypotheses(outcome.value);
    if (hypotheses === null) {
      const message = "the model's answer is not a list of scored tokens";
      this.fail(place, new MillraceError("item_failed", message).toWire());
      return;
    }
    this.#pipelines[pipelineId] = (this.#pipelines[pipelineId] ?? 0) + 1;
    const joined = this.#attempt(place.text, (text) => text.add(place.piece, hypotheses));
    this.#report(place.text, joined);
  }

  fail(place: Place, error: WireError): void {
    this.#report(place.text, this.#texts[place.text]?.fail(error) ?? null);
  }

  /** Ends the promise; no outcome follows. A second call does nothing. */
  abandon(error: unknown): void {
    this.#openTexts = 0;
    this.#reject(error);
  }

  summary(nowMs: number): SubmitSummary {
    const { model, class: workClass, arrivedAtMs, queuedAtMs } = this.options;
    return {
      model,
      class: workClass,
      timings: {
        prepareMs: queuedAtMs - arrivedAtMs,
        queueMs: this.#longestWaitMs,
        computeMs: this.#firstSentAtMs === null ? 0 : nowMs - this.#firstSentAtMs,
        totalMs: nowMs - arrivedAtMs,
      },
      pipelines: this.#pipelines,
    };
  }

  /** A tokenizer that chokes on a model's output fails this text and no other. */
  #attempt(
    index: number,
    action: (text: TextAssembly) => TranslateItem | null,
  ): TranslateItem | null {
    const text = this.#texts[index] ?? null;
    if (text === null) return null;
    try {
      return action(text);
    } catch (error) {
      const message = `the output cannot be turned into text: ${String(error)}`;
      return { error: new MillraceError("internal", message, { cause: error }).toWire() };
    }
  }

  #report(index: number, item: TranslateItem | null): void {
    if (item === null || this.ended) return;
    this.#openTexts -= 1;
    try {
      this.options.onOutcome({ index, item });
    } catch (error) {
      // The caller's own callback failed: that ends the caller's request and nobody else's.
      this.abandon(error);
      return;
    }
    if (this.#openTexts === 0) this.#resolve();
  }
}

/** Where in its request an item belongs. */
export interface Place {
  readonly text: number;
  readonly piece: number;
}
