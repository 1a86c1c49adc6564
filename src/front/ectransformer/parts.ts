/**
 * Outcomes as they come → parts as a client wants them: in order, each as soon as it is whole. A client adds up what arrives until
 * it has as many results as it sent texts, so there is one for each, whatever happened: an empty text for what has none.
 */
import type { WireError } from "millrace-client/wire";
import type { InputOutcome } from "../../submit/submit.js";

export interface Part {
  readonly place: number;
  readonly result: readonly string[];
  /** Of those that failed; `index` is that in `result`. */
  readonly errors: readonly ({ readonly index: number } & WireError)[];
  /** Why none of these has a result. */
  readonly error: WireError | null;
}

export interface PartsOptions {
  /** Results that the client waits for. */
  readonly count: number;
  /** Of a part. */
  readonly size: number;
  readonly publish: (part: Part) => void;
}

export class Parts {
  readonly #options: PartsOptions;
  readonly #ready = new Map<number, InputOutcome>();
  #published = 0;
  #places = 0;
  #hasFailed = false;

  constructor(options: PartsOptions) {
    this.#options = options;
  }

  add(index: number, outcome: InputOutcome): void {
    this.#ready.set(index, outcome);
    while (this.#published < this.#options.count && this.#isWhole()) {
      const list: InputOutcome[] = [];
      for (let at = this.#published; at < this.#end(); at += 1) {
        const ready = this.#ready.get(at);
        if (ready !== undefined) list.push(ready);
        this.#ready.delete(at);
      }
      this.#next(partOf(list));
    }
  }

  /** Whatever is left has this error. Again: nothing. */
  fail(error: WireError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#ready.clear();
    const result = Array<string>(this.#options.count - this.#published).fill("");
    this.#next({ result, errors: [], error });
  }

  #isWhole(): boolean {
    for (let at = this.#published; at < this.#end(); at += 1) {
      if (!this.#ready.has(at)) return false;
    }
    return true;
  }

  #end(): number {
    return Math.min(this.#options.count, this.#published + this.#options.size);
  }

  #next(part: Omit<Part, "place">): void {
    const place = this.#places;
    this.#options.publish({ place, ...part });
    this.#published += part.result.length;
    this.#places += 1;
  }
}

function partOf(outcomes: readonly InputOutcome[]): Omit<Part, "place"> {
  const errors = outcomes.flatMap((outcome, index) =>
    "error" in outcome ? [{ index, ...outcome.error }] : [],
  );
  return { result: outcomes.map(textOf), errors, error: null };
}

function textOf(outcome: InputOutcome): string {
  if ("error" in outcome) return "";
  const { text } = outcome.value.values;
  if (typeof text !== "string") throw new Error("a translation has no text");
  return text;
}
