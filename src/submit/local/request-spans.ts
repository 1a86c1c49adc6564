/** A traced request's way through submit, one span behind the other: prepare, queue, compute. Where it ends early, in that one. */
import type { WorkClass } from "millrace-client/wire";
import type { TraceSpan } from "../../work/trace-span.js";

export interface TracedRequest {
  readonly task: string;
  readonly model: string;
  readonly class: WorkClass;
  readonly tenant: string;
  readonly inputs: number;
}

export class RequestSpans {
  readonly #request: TraceSpan;
  #phase: "prepare" | "queue" = "prepare";
  #sinceMs: number;
  /** Null: no item of it was sent. */
  #compute: TraceSpan | null = null;
  #failedInputs = 0;

  constructor(request: TraceSpan, arrivedAtMs: number) {
    this.#request = request;
    this.#sinceMs = arrivedAtMs;
  }

  queued({ task, model, class: workClass, tenant, inputs }: TracedRequest, atMs: number): void {
    this.#close(atMs);
    this.#phase = "queue";
    this.#request.set({
      "millrace.task": task,
      "millrace.model": model,
      "millrace.class": workClass,
      "millrace.tenant": tenant,
      "millrace.inputs": inputs,
    });
  }

  /** Its first item went to a pipeline, or a further one; `compute` comes back. */
  sent(atMs: number): TraceSpan {
    if (this.#compute !== null) return this.#compute;
    this.#close(atMs);
    this.#compute = this.#request.child("compute", { atMs });
    return this.#compute;
  }

  inputFailed(): void {
    this.#failedInputs += 1;
  }

  /** `error`: the request failed as a whole. */
  ended(atMs: number, error?: string): void {
    if (this.#failedInputs > 0) this.#request.set({ "millrace.inputs.failed": this.#failedInputs });
    this.#close(atMs, error);
  }

  #close(atMs: number, error?: string): void {
    const phase = this.#compute ?? this.#request.child(this.#phase, { atMs: this.#sinceMs });
    phase.end(error === undefined ? { atMs } : { atMs, error });
    this.#sinceMs = atMs;
  }
}
