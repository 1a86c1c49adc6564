/** A `Submit` for the tests of fronts: "translates" by reversing, when told to, and writes down what it saw. */

import { MillraceError, type WorkClass } from "millrace-client/wire";
import { readImages } from "#src/prepare/image/read-images.js";
import type {
  InputOutcome,
  Submit,
  SubmitEvents,
  SubmitRequest,
  SubmitSummary,
} from "#src/submit/submit.js";
import { taskOf } from "#src/tasks/table.js";
import { valuesOnly } from "#src/work/payload.js";
import type { TaskForm } from "#src/work/task-form.js";

const task = taskOf({ task: "translate" });
/** Takes files, and says how many bytes each has. */
const look = {
  name: "look",
  fields: ["images", "note", "raw"],
  files: { field: "images", mediaTypes: ["image/*"] },
};

export interface Submitted {
  readonly request: SubmitRequest;
  readonly signal: AbortSignal;
}

export class EchoSubmit implements Submit {
  readonly seen: Submitted[] = [];
  requestInputsMax = 10_000;
  /** Thrown by the next `submit`, as admission would. */
  refuseWith: Error | null = null;
  /** Thrown after the first outcome of the next `submit`. */
  failAfterFirst: Error | null = null;
  /** Order in which outcomes come, from their number; default: as sent. */
  orderOf: (count: number) => readonly number[] = (count) => [...Array(count).keys()];
  #held: Promise<void> | null = null;
  #release: () => void = () => {};
  #arrivals: { readonly count: number; readonly resolve: () => void }[] = [];

  /** From now on nothing finishes until `release()`. */
  hold(): void {
    this.#held = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  release(): void {
    this.#held = null;
    this.#release();
  }

  /** Resolves when so many requests in all have arrived. */
  async arrived(count: number): Promise<void> {
    if (this.seen.length >= count) return;
    await new Promise<void>((resolve) => this.#arrivals.push({ count, resolve }));
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return new Map<string, TaskForm>([
      [task.name, task],
      [look.name, look],
    ]);
  }

  async submit(
    request: SubmitRequest,
    signal: AbortSignal,
    { onInputs, onAccepted, onOutcome }: SubmitEvents,
  ): Promise<SubmitSummary> {
    const limits = { requestInputsMax: this.requestInputsMax };
    const { inputs } =
      request.task === look.name
        ? { inputs: readImages(request.fields["images"], "images", limits.requestInputsMax) }
        : task.read(request.fields, limits);
    onInputs?.(inputs);
    this.seen.push({ request, signal });
    for (const waiter of this.#arrivals) if (this.seen.length >= waiter.count) waiter.resolve();
    if (this.refuseWith !== null) throw this.refuseWith;
    onAccepted?.();
    if (this.#held !== null) await Promise.race([this.#held, aborted(signal)]);
    const outcomes =
      request.task === look.name
        ? inputs.map((bytes) => ({ value: valuesOnly({ bytes: (bytes as Uint8Array).length }) }))
        : outcomesOf(request.fields);
    for (const index of this.orderOf(inputs.length)) {
      signal.throwIfAborted();
      onOutcome({ index, outcome: outcomes[index] ?? fail(index) });
      if (this.failAfterFirst !== null) throw this.failAfterFirst;
    }
    return {
      task: request.task,
      model: request.model ?? "echo",
      class: request.class ?? classOf(inputs.length),
      inputs: inputs.length,
      timings: { prepareMs: 1, queueMs: 2, computeMs: 3, totalMs: 6 },
      pipelines: { "echo-0": inputs.length },
    };
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = (): void => reject(new MillraceError("cancelled", "The caller left."));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** `!` at the start of a text makes that input fail alone. */
function outcomesOf({ texts, tokenIds }: SubmitRequest["fields"]): InputOutcome[] {
  if (Array.isArray(tokenIds)) {
    return (tokenIds as readonly (readonly number[])[]).map((ids) => result(ids.join(" ")));
  }
  const list = typeof texts === "string" ? [texts] : (texts as readonly string[]);
  return list.map((text) =>
    text.startsWith("!")
      ? { error: new MillraceError("item_failed", "It begins with a bang.").toWire() }
      : result(reversed(text)),
  );
}

/** Bytes where they are characters: some texts are megabytes of one letter. */
function reversed(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length === text.length
    ? bytes.reverse().toString("latin1")
    : Array.from(text).reverse().join("");
}

function result(text: string): InputOutcome {
  return { value: valuesOnly({ text, score: 0, inputTokens: 1, outputTokens: 1, sentences: 1 }) };
}

function classOf(count: number): WorkClass {
  return count < 256 ? "realtime" : "bulk";
}

function fail(index: number): never {
  throw new Error(`no item ${index}`);
}
